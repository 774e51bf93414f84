// Small helpers that every chart of the page shares: SVG elements, scales, axes, colours. No library, no network.
"use strict";

const PAGE = JSON.parse(document.getElementById("data").textContent);
const COLOURS = PAGE.palette;
const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes and children (strings become text). */
function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** An HTML element with attributes and children. */
function html(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(key, value);
  for (const child of children.flat()) if (child !== null) element.append(child);
  return element;
}

/** About `count` round numbers that span [low, high]. */
function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.75);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

/** [smallest, largest] of the numbers with a margin on both sides; never of zero length. */
function extent(values, margin = 0.06) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  if (!known.length) return [0, 1];
  const low = Math.min(...known), high = Math.max(...known);
  const room = (high - low) * margin || Math.abs(high) * 0.05 || 1;
  return [low - room, high + room];
}

const plain = (value) => Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });
const ap = (value, digits = 2) => (value === null || value === undefined ? "–" : (100 * value).toFixed(digits));
const percent = (value) => plain(Number((100 * value).toFixed(6)));
/** How a run's scores read: APs in percent, or minus a loss as it is. */
const scoreOf = ({ score }) => ({ ...score, tick: score.is_loss ? plain : percent,
  shown: (value) => (score.is_loss && value !== null ? value.toFixed(4) : ap(value)) });
const unit = (macs) => (macs >= 1e9 ? ["G", 1e9] : ["M", 1e6]);
const cost = (macs) => (macs / unit(macs)[1]).toPrecision(4) + " " + unit(macs)[0] + "MACs";

/**
 * Axes with grid and labels in `host`. options: x, y: [low, high]; xLabel, yLabel; height; whole: x in whole numbers;
 * xFormat, yFormat. Returns {root, plot, sx, sy, width, height, box}.
 */
function frame(host, options) {
  const width = Math.max(host.clientWidth, 240), height = options.height || 300;
  const box = { left: 52, right: width - 12, top: 12, bottom: height - 44 };
  const sx = (value) => box.left + ((value - options.x[0]) / (options.x[1] - options.x[0])) * (box.right - box.left);
  const sy = (value) => box.bottom - ((value - options.y[0]) / (options.y[1] - options.y[0])) * (box.bottom - box.top);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img", "aria-label": options.label });
  const every = ticks(...options.y, height / 60);
  for (const value of every) {
    root.append(svg("line", { x1: box.left, x2: box.right, y1: sy(value), y2: sy(value), class: "grid" }));
    const text = (options.yFormat || plain)(value);
    root.append(svg("text", { x: box.left - 7, y: sy(value) + 4, class: "tick", "text-anchor": "end" }, text));
  }
  let below = ticks(...options.x, (box.right - box.left) / (options.whole ? 34 : 90));
  if (options.whole) below = below.filter(Number.isInteger);
  for (const value of below) {
    const text = (options.xFormat || plain)(value);
    root.append(svg("text", { x: sx(value), y: box.bottom + 17, class: "tick", "text-anchor": "middle" }, text));
  }
  root.append(svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }));
  const middle = (box.left + box.right) / 2;
  root.append(svg("text", { x: middle, y: height - 8, class: "label", "text-anchor": "middle" }, options.xLabel));
  root.append(svg("text", { x: 12, y: 0, class: "label", "text-anchor": "middle",
    transform: `translate(0 ${(box.top + box.bottom) / 2}) rotate(-90 12 0)` }, options.yLabel));
  const plot = svg("g");
  root.append(plot);
  host.replaceChildren(root);
  return { root, plot, sx, sy, box, width, height };
}

/** The `d` of a line through points [[x, y], ...] (already in pixels). */
const lineOf = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The `d` of the area between two lines over the same x. */
const areaOf = (upper, lower) => lineOf(upper) + lineOf([...lower].reverse()).replace("M", "L") + "Z";

/** A row of colour keys under a chart: [[colour, words], ...]; a shape is "square", "line" or "star". */
function legend(host, entries) {
  const keys = entries.map(([colour, words, shape = "square"]) =>
    html("span", { class: "key" }, html("i", { class: shape, style: `--key:${colour}` }), words));
  host.append(html("p", { class: "legend" }, keys));
}

/** Draws every chart of a kind now and whenever its width changes. */
const CHARTS = {};
function drawAll(force) {
  for (const host of document.querySelectorAll("[data-chart]")) {
    if (!host.clientWidth || (!force && host.dataset.width === String(host.clientWidth))) continue;
    host.dataset.width = host.clientWidth;
    CHARTS[host.dataset.chart](host, PAGE.runs[host.dataset.run]);
  }
}
