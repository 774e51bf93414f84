// The search: generations (MSNAS Fig. 3), scores against cost, choices of each block and head, where children came from.
"use strict";

/** The operators that made a run's candidates with their colours; the usual ones look the same in every report. */
const originColours = (run) => {
  const usual = { "encoder crossover": "#0b5fa5", "encoder mutation": "#56a3d9", "heads crossover": "#00795c",
    "heads mutation": "#6cc3a6", random: "#e07b1a" };
  const others = ["#8a3f8f", "#66717f", "#d1495b", "#b8860b", "#3d3a8c", "#7a5230"];
  const names = [...new Set(run.evaluations.map((e) => e.origin || "first draw"))].sort();
  const unusual = names.filter((name) => !usual[name]);
  return new Map(names.map((name) => [name, usual[name] || others[unusual.indexOf(name) % others.length]]));
};

CHARTS.evolution = (host, run) => {
  const score = scoreOf(run);
  const rows = run.best_so_far.filter((row) => row.mean !== null);
  const scored = run.evaluations.filter((e) => e.ap !== null);
  const chart = frame(host, {
    x: [-0.4, Math.max(1, rows.at(-1).generation) + 0.4], whole: true, yFormat: score.tick,
    y: extent([...scored.map((e) => e.ap), ...rows.flatMap((r) => [r.mean - (r.spread || 0), r.mean + (r.spread || 0)])]),
    xLabel: "generation", yLabel: score.long, label: `Best, mean and spread of the ${score.name} by generation`,
  });
  const { sx, sy, plot } = chart;
  const at = (row, value) => [sx(row.generation), sy(value)];
  const spread = (row, sign) => at(row, row.mean + sign * (row.spread || 0));
  plot.append(svg("path", { d: areaOf(rows.map((r) => spread(r, 1)), rows.map((r) => spread(r, -1))), class: "band" }));
  scored.forEach((e, i) => {
    const shift = (((i * 0.618) % 1) - 0.5) * 0.5; // spread sideways so that equal scores stay visible
    plot.append(svg("circle", { cx: sx(e.generation + shift), cy: sy(e.ap), r: 2, class: "child" }));
  });
  plot.append(svg("path", { d: lineOf(rows.map((r) => at(r, r.mean))), class: "mean" }));
  plot.append(svg("path", { d: lineOf(rows.map((r) => at(r, r.best))), class: "best" }));
  for (const row of rows) plot.append(svg("circle", { cx: sx(row.generation), cy: sy(row.best), r: 3.5, class: "bestdot" }));
  const items = rows.map((row) => ({ x: sx(row.generation), y: sy(row.best), row }));
  tipsFor(chart, () => items, ({ row }) => [
    html("b", {}, `generation ${row.generation}`), fact("best so far", score.shown(row.best)),
    fact("mean ± spread", `${score.shown(row.mean)} ± ${score.shown(row.spread)}`), fact("standard error", score.shown(row.se)),
    fact("children", `${row.children}, failed ${row.failed}`),
  ]);
  const { sampled, survivors } = rows.at(-1);
  const mean = sampled ? "mean of each generation's candidates" : `mean of the ${survivors} survivors`;
  legend(host, [[COLOURS.down, "best so far", "line"], [COLOURS.stem, mean, "line"],
    [COLOURS.band, "± one standard deviation"], [COLOURS.keep, "each child", "dot"]]);
};

/** NSGA-II: how much of the plane of objectives the front dominates, against its first value that is not 0. */
CHARTS.hypervolume = (host, run) => {
  const rows = run.hypervolume, one = (rows.find((row) => row.hypervolume > 0) || { hypervolume: 1 }).hypervolume;
  const values = rows.map((row) => row.hypervolume / one);
  const chart = frame(host, { x: [0, Math.max(1, rows.at(-1).generation)], whole: true, y: extent([0, ...values]),
    xLabel: "generation", yLabel: "hypervolume, first = 1", label: "Hypervolume of the front by generation" });
  const { sx, sy, plot } = chart;
  const items = rows.map((row, i) => ({ x: sx(row.generation), y: sy(values[i]), row, value: values[i] }));
  plot.append(svg("path", { d: lineOf(items.map((item) => [item.x, item.y])), class: "best" }));
  tipsFor(chart, () => items, ({ row, value }) => [html("b", {}, `generation ${row.generation}`),
    fact("hypervolume", value.toFixed(3)), fact("on the front", row.front)]);
  legend(host, [[COLOURS.down, "hypervolume", "line"]]);
};

/** What the reader has filtered, by run: kept when charts are drawn again. */
const FILTERS = new Map();
const filterOf = (run) => {
  if (!FILTERS.has(run)) FILTERS.set(run, { hidden: new Set(), upTo: Infinity, frontOnly: false });
  return FILTERS.get(run);
};
const passes = (filter, e) => !filter.hidden.has(e.origin || "first draw") && e.generation <= filter.upTo
  && (!filter.frontOnly || e.front);

CHARTS.scatter = (host, run) => {
  const score = scoreOf(run);
  const scored = run.evaluations.filter((e) => e.ap !== null && e.macs);
  const [letter, scale] = unit(Math.max(...scored.map((e) => e.macs)));
  const budget = run.budget && run.budget.metric === "macs" ? run.budget : null;
  const edges = budget ? [budget.low || scored[0].macs, budget.high] : [];
  const chart = frame(host, {
    x: extent([...scored.map((e) => e.macs), ...edges].map((m) => m / scale), 0.08), y: extent(scored.map((e) => e.ap)),
    yFormat: score.tick, xLabel: `${letter}MACs of the first stage`, yLabel: score.long, height: 340,
    label: `The ${score.name} against cost of every candidate`,
  });
  const { sx, sy, plot, box } = chart, colours = originColours(run), filter = filterOf(run);
  if (budget) {
    const left = Math.max(box.left, sx((budget.low || 0) / scale)), right = Math.min(box.right, sx(budget.high / scale));
    const place = { x: left, y: box.top, width: right - left, height: box.bottom - box.top };
    plot.append(svg("rect", { ...place, class: "budget" }));
    plot.append(svg("text", { x: left + 5, y: box.top + 13, class: "tick" }, "budget"));
  }
  const front = scored.filter((e) => e.front).sort((a, b) => a.macs - b.macs);
  const steps = front.flatMap((e, i) => [...(i ? [[sx(e.macs / scale), sy(front[i - 1].ap)]] : []),
    [sx(e.macs / scale), sy(e.ap)]]);
  plot.append(svg("path", { d: lineOf(steps), class: "front" }));
  const winners = new Map(run.winners.map((w) => [w.architecture, w.rank]));
  const items = scored.map((e) => {
    const item = { x: sx(e.macs / scale), y: sy(e.ap), e, rank: winners.get(e.architecture) };
    const style = { fill: colours.get(e.origin || "first draw"), "data-origin": e.origin || "first draw" };
    item.mark = svg("circle", { cx: item.x, cy: item.y, r: e.front ? 5 : 4, class: "candidate", ...style });
    plot.append(item.mark);
    return item;
  });
  nameWinners(plot, items.filter((item) => item.rank));
  const count = html("output", { class: "count" });
  const update = () => {
    let shown = 0;
    for (const item of items) {
      const visible = passes(filter, item.e);
      shown += visible;
      for (const mark of [item.mark, item.star]) if (mark) mark.style.display = visible ? "" : "none";
    }
    count.textContent = `${shown} of ${items.length} candidates`;
  };
  tipsFor(chart, () => items.filter((item) => passes(filter, item.e)), ({ e, rank }) => [
    html("b", {}, rank ? `winner ${rank}` : `candidate of generation ${e.generation}`), fact(score.name, score.shown(e.ap)),
    fact("cost", cost(e.macs)), fact("made by", e.origin || "first draw"),
    thumbnail(e.architecture, run.space.base_stride) || "", archText(e.architecture),
  ]);
  host.prepend(scatterControls(run, filter, colours, update, count));
  const band = budget ? [[COLOURS.budgetBand, "inside the budget"]] : [];
  legend(host, [[COLOURS.head, "Pareto front", "line"], ...band, [COLOURS.ink, "winners", "star"]]);
  update();
};

/** A star and the rank above each winner; one that would cover another's stands beside it. */
function nameWinners(plot, items) {
  const placed = [];
  for (const item of items.sort((a, b) => a.rank - b.rank)) {
    let x = item.x;
    while (placed.some(([u, v]) => Math.abs(u - x) < 26 && Math.abs(v - item.y) < 16)) x += 27;
    placed.push([x, item.y]);
    item.star = svg("text", { x, y: item.y - 7, class: "rank", "text-anchor": "middle" }, `★${item.rank}`);
    plot.append(item.star);
  }
}

/** Chips that hide an origin, a slider over generations, the front alone. */
function scatterControls(run, filter, colours, update, count) {
  const chips = [...colours].map(([name, colour]) => {
    const chip = html("button", { type: "button", class: "chip", style: `--key:${colour}`,
      "aria-pressed": String(!filter.hidden.has(name)), "data-filter": name }, name);
    chip.addEventListener("click", () => {
      if (!filter.hidden.delete(name)) filter.hidden.add(name);
      chip.setAttribute("aria-pressed", String(!filter.hidden.has(name)));
      update();
    });
    return chip;
  });
  const last = Math.max(...run.evaluations.map((e) => e.generation));
  const slider = html("input", { type: "range", min: 0, max: last, value: Math.min(filter.upTo, last), "data-filter": "generation" });
  const said = html("b", {}, String(slider.value));
  slider.addEventListener("input", () => {
    filter.upTo = Number(slider.value);
    said.textContent = slider.value;
    update();
  });
  const only = html("input", { type: "checkbox", "data-filter": "front", ...(filter.frontOnly ? { checked: "" } : {}) });
  only.addEventListener("change", () => { filter.frontOnly = only.checked; update(); });
  return html("div", { class: "controls" }, chips,
    html("label", {}, "up to generation ", said, slider), html("label", {}, only, " Pareto front only"), count);
}

CHARTS.children = (host, run) => {
  const rows = run.best_so_far, colours = originColours(run);
  const most = Math.max(...rows.map((row) => row.children), 1);
  const chart = frame(host, { x: [-0.6, rows.length - 0.4], y: [0, most * 1.08], whole: true, height: 220,
    xLabel: "generation", yLabel: "children", label: "Children of each generation by the operator that made them" });
  const { sx, sy, plot } = chart, wide = Math.min(46, (sx(1) - sx(0)) * 0.7);
  const items = [];
  for (const row of rows) {
    let below = 0;
    const born = run.evaluations.filter((e) => e.generation === row.generation);
    for (const [name, colour] of colours) {
      const number = born.filter((e) => (e.origin || "first draw") === name).length;
      if (!number) continue;
      const place = { x: sx(row.generation) - wide / 2, width: wide, y: sy(below + number), height: sy(below) - sy(below + number) };
      plot.append(svg("rect", { ...place, fill: colour, class: "slice" }));
      items.push({ x: sx(row.generation), y: place.y + place.height / 2, row, name, number });
      below += number;
    }
    const above = { x: sx(row.generation), y: sy(below) - 5, class: "failed", "text-anchor": "middle" };
    if (row.failed) plot.append(svg("text", above, `✕ ${row.failed}`));
  }
  tipsFor(chart, () => items, ({ row, name, number }) => {
    const record = run.generations.find((g) => g.generation === row.generation) || {};
    const drawn = record.draws ? record.draws[name] : undefined;
    return [html("b", {}, `generation ${row.generation}: ${name}`), fact("children", String(number)),
      drawn ? fact("draws", drawn.toLocaleString("en")) : "", drawn ? fact("accepted", `${((100 * number) / drawn).toFixed(1)} %`) : ""];
  });
  const failed = rows.some((row) => row.failed) ? [[COLOURS.baseline, "failed", "cross"]] : [];
  legend(host, [...[...colours].map(([name, colour]) => [colour, name]), ...failed]);
};

CHARTS.choices = (host, run) => {
  const sections = [...new Set(run.choices.map((gene) => gene.section))];
  const colours = ({ strides, values }) => {
    if (strides) return strides.map((stride) => COLOURS.blocks[stride]);
    return values.map((_, i) => COLOURS.strides[Math.round((i * 4) / Math.max(values.length - 1, 1))]);
  };
  host.replaceChildren(...sections.map((section) => {
    const genes = run.choices.filter((gene) => gene.section === section);
    const largest = genes.reduce((a, b) => (b.values.length > a.values.length ? b : a));
    const minis = genes.map((gene) => html("figure", { class: "mini" }, choiceArea(gene, colours(gene)),
      html("figcaption", {}, `${gene.gene} ${gene.number}`)));
    const keys = colours(largest).map((colour, i) => [colour, largest.values[i]]);
    const group = html("div", { class: "group" }, html("div", { class: genes[0].gene.length > 6 ? "minis wide" : "minis" }, minis));
    legend(group, keys);
    return group;
  }));
};

/** One gene: the share of each value among the survivors (upwards), over the generations (to the right). */
function choiceArea(gene, palette) {
  const width = 96, height = 54, last = Math.max(gene.counts.length - 1, 1);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "area", role: "img", preserveAspectRatio: "none", "aria-label": `shares of ${gene.gene} ${gene.number}` });
  const shares = gene.counts.map((counts) => {
    const all = counts.reduce((a, b) => a + b, 0) || 1;
    return counts.map((count) => count / all);
  });
  const stacked = shares.length > 1 ? shares : [shares[0], shares[0]];
  const lower = stacked.map(() => 0);
  gene.values.forEach((_, value) => {
    const x = (i) => (i * width) / (stacked.length - 1);
    const bottom = stacked.map((_, i) => [x(i), height * (1 - lower[i])]);
    stacked.forEach((share, i) => { lower[i] += share[value]; });
    const top = stacked.map((_, i) => [x(i), height * (1 - lower[i])]);
    root.append(svg("path", { d: areaOf(top, bottom), fill: palette[value] }));
  });
  root.addEventListener("pointermove", (event) => {
    const place = root.getBoundingClientRect();
    const generation = Math.min(gene.counts.length - 1, Math.max(0, Math.round(((event.clientX - place.left) / place.width) * last)));
    showTip(event, html("b", {}, `${gene.gene} ${gene.number}, generation ${generation}`),
      ...gene.values.map((value, i) => fact(value, `${Math.round(100 * shares[generation][i])} %`)).reverse());
  });
  root.addEventListener("pointerleave", hideTip);
  return root;
}

/** Several runs: the best so far of each that is scored as the first is. */
CHARTS.compare = (host) => {
  const score = scoreOf(PAGE.runs[0]), alike = PAGE.runs.filter((run) => run.score.is_loss === score.is_loss);
  const hues = [COLOURS.down, COLOURS.up, COLOURS.head, COLOURS.lateral, COLOURS.stem, COLOURS.baseline];
  const runs = alike.map((run, i) => ({ run, hue: hues[i % hues.length], rows: run.best_so_far.filter((r) => r.best !== null) }));
  const rows = runs.flatMap((r) => r.rows);
  if (!rows.length) return;
  const chart = frame(host, { x: [-0.4, Math.max(1, ...rows.map((r) => r.generation)) + 0.4], y: extent(rows.map((r) => r.best)), whole: true,
    yFormat: score.tick, height: 260, xLabel: "generation", yLabel: `best ${score.long}`, label: `Best ${score.name} so far of every run` });
  const items = [];
  for (const { run, hue, rows } of runs) {
    const points = rows.map((r) => [chart.sx(r.generation), chart.sy(r.best)]);
    chart.plot.append(svg("path", { d: lineOf(points), class: "curve", style: `stroke:${hue}` }));
    rows.forEach((row, i) => items.push({ x: points[i][0], y: points[i][1], run, row }));
  }
  tipsFor(chart, () => items, ({ run, row }) => [html("b", {}, run.name), fact(`best at generation ${row.generation}`, score.shown(row.best))]);
  legend(host, runs.map(({ run, hue }) => [hue, run.name, "line"]));
};
