// What came out: one-shot score against stand-alone AP, training curves, detections beside the ground truth.
"use strict";

CHARTS.ranking = (host, run) => {
  const pairs = run.tau.pairs, score = scoreOf(run);
  const chart = frame(host, { x: extent(pairs.map((p) => p.one_shot), 0.15), y: extent(pairs.map((p) => p.ap), 0.15), xFormat: score.tick,
    yFormat: percent, xLabel: `${score.long}, in the search`, yLabel: "stand-alone AP", height: 280, label: `The search's ${score.name} against stand-alone AP` });
  const items = pairs.map((pair) => ({ x: chart.sx(pair.one_shot), y: chart.sy(pair.ap), pair }));
  for (const { x, y, pair } of items) {
    chart.plot.append(svg("circle", { cx: x, cy: y, r: 5, class: "bestdot" }));
    const end = x > chart.box.right - 90;
    chart.plot.append(svg("text", { x: end ? x - 9 : x + 9, y: y + 4, class: "tick", "text-anchor": end ? "end" : "start" }, pair.name));
  }
  tipsFor(chart, () => items, ({ pair }) => [html("b", {}, pair.name), fact(score.name, score.shown(pair.one_shot)), fact("stand-alone AP", ap(pair.ap))]);
};

CHARTS.training = (host, run) => {
  const hues = [COLOURS.stem, COLOURS.down, COLOURS.head, COLOURS.up, COLOURS.lateral, COLOURS.baseline];
  const curves = run.curves.filter((curve) => curve.name.startsWith(host.dataset.curves));
  const chart = frame(host, { x: [0, Math.max(...curves.flatMap((c) => c.step))], y: [0, extent(curves.flatMap((c) => c.loss))[1]],
    xLabel: "step", yLabel: "loss", height: 260, label: "Training loss by step" });
  const { sx, sy, plot, box } = chart, items = [];
  curves.forEach((curve, k) => {
    const hue = hues[(k + (host.dataset.curves === "supernet" ? 0 : 1)) % hues.length];
    const at = (values) => curve.step.map((step, i) => [sx(step), Math.max(box.top, sy(values[i]))]);
    if (curves.length === 1) plot.append(svg("path", { d: areaOf(at(curve.high), at(curve.low)), class: "band" }));
    plot.append(svg("path", { d: lineOf(at(curve.loss)), class: "curve", style: `stroke:${hue}` }));
    curve.step.forEach((step, i) => items.push({ x: sx(step), y: sy(curve.loss[i]), curve, i }));
  });
  tipsFor(chart, () => items, ({ curve, i }) => [html("b", {}, curveName(run, curve)), fact("step", curve.step[i].toLocaleString("en")),
    fact("mean loss", curve.loss[i].toFixed(3)), fact("lowest, highest", `${curve.low[i].toFixed(3)}, ${curve.high[i].toFixed(3)}`),
    curve.lr[i] === null ? "" : fact("learning rate", curve.lr[i].toPrecision(3))]);
  legend(host, curves.map((c, k) => [hues[(k + (host.dataset.curves === "supernet" ? 0 : 1)) % hues.length],
    `${curveName(run, c)}, ${c.steps.toLocaleString("en")} steps`, "line"]));
};

/** The network that a folder such as "retrain/01-1a2b3c4d" was trained for, with its seed where there are several. */
function curveName(run, curve) {
  const folder = curve.name.replace("retrain/", "");
  const network = run.networks.find((row) => row.folders.includes(folder));
  if (!network) return folder;
  return network.seeds > 1 ? `${network.name}, seed ${network.folders.indexOf(folder)}` : network.name;
}

CHARTS.detections = (host, run) => {
  const slider = html("input", { type: "range", min: 5, max: 95, step: 5, value: host.dataset.threshold || 30, "data-filter": "score" });
  const said = html("b", {});
  const rows = html("div", { class: "pictures" });
  const update = () => {
    host.dataset.threshold = slider.value;
    said.textContent = (slider.value / 100).toFixed(2);
    rows.replaceChildren(...run.pictures.map((picture, i) => pictureRow(picture, pictureId(run, i), slider.value / 100)));
  };
  slider.addEventListener("input", update);
  // An image's bytes are on the page once: every panel uses this one.
  const images = run.pictures.map((picture, i) => svg("image", { id: pictureId(run, i), href: picture.image, width: picture.width,
    height: picture.height, preserveAspectRatio: "none" }));
  const store = svg("svg", { width: 0, height: 0, class: "store", "aria-hidden": "true" }, svg("defs", {}, images));
  host.replaceChildren(store, html("div", { class: "controls" }, html("label", {}, "scores of at least ", said, slider)), rows);
  legend(host, [[COLOURS.ink, "ground truth"], [COLOURS.head, "right: same class, IoU ≥ 0.5"], [COLOURS.baseline, "wrong or twice"],
    [COLOURS.up, "missed"]]);
  update();
};

const pictureId = (run, index) => `picture-${PAGE.runs.indexOf(run)}-${index}`;

/** One held-out image as often as there are models, and once more with what is really there. */
function pictureRow(picture, id, threshold) {
  const panels = [picturePanel(picture, "ground truth", picture.truth.map((box) => ({ ...box, colour: COLOURS.ink })), id)];
  for (const [name, found] of Object.entries(picture.detections)) {
    const { boxes, right, wrong } = judged(picture.truth, found.filter((box) => box.score >= threshold));
    const words = `${name}: ${right} of ${picture.truth.filter((box) => !box.crowd).length} found, ${wrong} wrong`;
    panels.push(picturePanel(picture, words, boxes, id));
  }
  return html("div", { class: "row" }, panels);
}

/** Greedy matching by falling score, as COCO does at IoU 0.5. */
function judged(truth, found) {
  const taken = new Set();
  const boxes = [...found].sort((a, b) => b.score - a.score).map((box) => {
    let best = -1, overlap = 0.5;
    truth.forEach((real, i) => {
      const shared = iou(real.box, box.box);
      if (!taken.has(i) && real.label === box.label && shared >= overlap) [best, overlap] = [i, shared];
    });
    if (best >= 0) taken.add(best);
    return { ...box, colour: best >= 0 ? COLOURS.head : COLOURS.baseline, right: best >= 0 };
  });
  const missed = truth.filter((box, i) => !taken.has(i) && !box.crowd).map((box) => ({ ...box, colour: COLOURS.up, dashed: true }));
  const right = boxes.filter((box) => box.right).length;
  return { boxes: [...missed, ...boxes], right, wrong: boxes.length - right };
}

/** Of two boxes [x, y, width, height]. */
function iou([x, y, w, h], [u, v, a, b]) {
  const wide = Math.min(x + w, u + a) - Math.max(x, u), high = Math.min(y + h, v + b) - Math.max(y, v);
  if (wide <= 0 || high <= 0) return 0;
  return (wide * high) / (w * h + a * b - wide * high);
}

function picturePanel(picture, words, boxes, id) {
  const { width, height } = picture, side = Math.max(width, height);
  const thick = side / 150, letter = side / 30;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, svg("use", { href: `#${id}` }));
  const names = [];
  for (const box of boxes) {
    const [x, y, w, h] = box.box;
    const place = { x, y, width: w, height: h, fill: "none" };
    const dashes = box.dashed ? `${3 * thick} ${2 * thick}` : null;
    root.append(svg("rect", { ...place, stroke: "#fff", "stroke-opacity": 0.7, "stroke-width": 1.8 * thick }));
    root.append(svg("rect", { ...place, class: "box", stroke: box.colour, "stroke-width": thick, "stroke-dasharray": dashes }));
    if (box.dashed) continue;
    const text = box.score === undefined ? box.label : `${box.label} ${box.score.toFixed(2)}`;
    const long = letter * (0.62 * text.length + 0.5), tall = letter * 1.25;
    const left = Math.max(0, Math.min(x - thick / 2, width - long)), top = y > tall ? y - tall : y;
    names.push(svg("rect", { x: left, y: top, width: long, height: tall, fill: box.colour, opacity: 0.9 }));
    const style = `font-size:${letter}px`;
    names.push(svg("text", { x: left + letter * 0.25, y: top + letter * 0.97, class: "boxname", style }, text));
  }
  root.append(...names);
  return html("figure", {}, root, html("figcaption", {}, words));
}
