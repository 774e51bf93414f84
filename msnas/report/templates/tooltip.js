// The one box that follows the pointer, and the thumbnail of an architecture inside it.
"use strict";

const TIP = html("div", { id: "tip", role: "status", hidden: "" });
document.body.append(TIP);

/** Show `content` (elements) beside the pointer of `event`, inside the window. */
function showTip(event, ...content) {
  TIP.replaceChildren(...content);
  TIP.hidden = false;
  const { width, height } = TIP.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - 8;
  const left = Math.max(8, Math.min(event.clientX + 14, room));
  const below = event.clientY + 16;
  const top = below + height > window.innerHeight - 8 ? event.clientY - height - 14 : below;
  TIP.style.transform = `translate(${left}px, ${Math.max(8, top)}px)`;
}

function hideTip() {
  TIP.hidden = true;
}

/**
 * Tips for points: items with {x, y} in the units of `chart`'s viewBox; `describe(item)` gives the tip's elements.
 * The nearest item within reach is ringed. Works with mouse, pen and touch.
 */
function tipsFor(chart, items, describe) {
  const ring = svg("circle", { r: 8, class: "ring", visibility: "hidden" });
  chart.plot.append(ring);
  const leave = () => { hideTip(); ring.setAttribute("visibility", "hidden"); };
  const move = (event) => {
    const place = chart.root.getBoundingClientRect();
    const x = ((event.clientX - place.left) * chart.width) / place.width;
    const y = ((event.clientY - place.top) * chart.height) / place.height;
    let nearest = null, distance = 26 ** 2;
    for (const item of items()) {
      const d = (item.x - x) ** 2 + (item.y - y) ** 2;
      if (d < distance) [nearest, distance] = [item, d];
    }
    if (!nearest) return leave();
    ring.setAttribute("cx", nearest.x);
    ring.setAttribute("cy", nearest.y);
    ring.setAttribute("visibility", "visible");
    showTip(event, ...describe(nearest));
  };
  chart.root.addEventListener("pointermove", move);
  chart.root.addEventListener("pointerdown", move);
  chart.root.addEventListener("pointerleave", leave);
}

/** One line of a tip: a word and its value. */
const fact = (word, value) => html("div", { class: "fact" }, html("span", {}, word), html("b", {}, value));

/** A small drawing of "1,2,0.5|8,8,16,16,32": the way through the strides, heads at the right; null for other spaces. */
function thumbnail(text, baseStride) {
  if (!baseStride || !/^[\d.,]+\|[\d,]+$/.test(text)) return null;
  const [blocks, heads] = text.split("|").map((part) => part.split(",").map(Number));
  const step = Math.min(15, 200 / blocks.length), lane = 13, size = Math.min(9, step - 2);
  const row = (stride) => 10 + lane * Math.log2(stride / baseStride);
  const width = step * (blocks.length + 1) + 46;
  const root = svg("svg", { width, height: lane * 4 + 20, viewBox: `0 0 ${width} ${lane * 4 + 20}`, class: "thumb" });
  for (let i = 0; i < 5; i++)
    root.append(svg("line", { x1: 0, x2: width, y1: 10 + lane * i, y2: 10 + lane * i, class: "grid" }));
  let stride = baseStride;
  const points = [[step / 2, row(stride)]];
  blocks.forEach((block, i) => points.push([step * (i + 1.5), row((stride *= block))]));
  root.append(svg("path", { d: lineOf(points), class: "way" }));
  blocks.forEach((block, i) => {
    const [x, y] = points[i + 1];
    const place = { x: x - size / 2, y: y - size / 2, width: size, height: size, rx: 2 };
    root.append(svg("rect", { ...place, fill: COLOURS.blocks[String(block)] }));
  });
  const left = step * (blocks.length + 1) + 8;
  heads.forEach((head, i) => {
    const place = { x: left + 7 * i, y: row(head) - 4, width: 5, height: 8, rx: 1 };
    root.append(svg("rect", { ...place, fill: COLOURS.head }));
  });
  return root;
}

/** An architecture's text in two lines that may break. */
const archText = (text) => html("code", {}, text.replace("|", " | "));
