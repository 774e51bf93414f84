// Starts the page: draws what is visible, follows the window's width, switches between runs, prints everything.
"use strict";

for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => showRun(button.dataset.show));
}

/** Several runs: one at a time on the screen, all of them on paper. */
function showRun(number) {
  for (const button of document.querySelectorAll("[data-show]"))
    button.setAttribute("aria-pressed", String(button.dataset.show === number));
  for (const part of document.querySelectorAll(".run")) part.classList.toggle("away", part.dataset.run !== number);
  drawAll(false);
}

if (PAGE.runs.length > 1) showRun("0");
drawAll(true);
let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => drawAll(false), 120);
});
window.addEventListener("beforeprint", () => {
  document.body.classList.add("printing");
  for (const part of document.querySelectorAll("details:not(.long)")) part.open = true;
  drawAll(false);
});
window.addEventListener("afterprint", () => {
  document.body.classList.remove("printing");
  drawAll(false);
});
document.addEventListener("scroll", hideTip, { passive: true });
