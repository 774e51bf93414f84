// What a controller drew (NAS-FPN Fig. 5): the reward over the samples, and how many of all samples were new.
"use strict";

CHARTS.rewards = (host, run) => {
  const { rows, rewards } = (host.dataset.half === "second" ? run.second : run).samples, score = scoreOf(run);
  const known = rows.filter((row) => row.mean !== null);
  const chart = frame(host, {
    x: [0, rows.at(-1).total], y: extent(rewards.map((one) => one.reward)), yFormat: score.tick,
    xLabel: "samples", yLabel: score.is_loss ? score.long : "reward: one-shot AP", label: "Reward over the samples of the controller",
  });
  const { sx, sy, plot } = chart;
  for (const one of rewards) plot.append(svg("circle", { cx: sx(one.sample), cy: sy(one.reward), r: 2, class: "child" }));
  let best = -Infinity;
  const bests = rewards.flatMap((one) => {
    if (one.reward <= best) return [];
    const step = [...(best > -Infinity ? [[sx(one.sample), sy(best)]] : []), [sx(one.sample), sy(one.reward)]];
    best = one.reward;
    return step;
  });
  if (bests.length) plot.append(svg("path", { d: lineOf([...bests, [sx(rows.at(-1).total), sy(best)]]), class: "best" }));
  const middle = (row) => [sx(row.total - row.drawn / 2), sy(row.mean)];
  plot.append(svg("path", { d: lineOf(known.map(middle)), class: "mean" }));
  const items = known.map((row) => ({ x: middle(row)[0], y: middle(row)[1], row }));
  tipsFor(chart, () => items, ({ row }) => [html("b", {}, `generation ${row.generation}`), fact("samples so far", plain(row.total)),
    fact("mean ± spread", `${score.shown(row.mean)} ± ${score.shown(row.spread)}`)]);
  legend(host, [[COLOURS.keep, "each architecture", "dot"], [COLOURS.down, "best so far", "line"],
    [COLOURS.stem, "mean of a generation's samples", "line"]]);
};

CHARTS.uniques = (host, run) => {
  const { rows } = run.samples, last = rows.at(-1).total;
  const chart = frame(host, { x: [0, last], y: [0, last], xLabel: "samples", yLabel: "different architectures",
    label: "Different architectures among all samples" });
  const { sx, sy, plot } = chart;
  const points = [[sx(0), sy(0)], ...rows.map((row) => [sx(row.total), sy(row.unique)])];
  plot.append(svg("path", { d: lineOf([[sx(0), sy(0)], [sx(last), sy(last)]]), class: "mean" }));
  plot.append(svg("path", { d: lineOf(points), class: "best" }));
  const items = rows.map((row, i) => ({ x: points[i + 1][0], y: points[i + 1][1], row }));
  tipsFor(chart, () => items, ({ row }) => [html("b", {}, `generation ${row.generation}`), fact("samples", plain(row.total)),
    fact("different", `${plain(row.unique)} (${((100 * row.unique) / row.total).toFixed(1)} %)`)]);
  legend(host, [[COLOURS.down, "different architectures", "line"], [COLOURS.stem, "if all were different", "line"]]);
};

/** NAS-FCOS Fig. 5: the share of heads that share all their weights between levels, over periods of so many heads. */
CHARTS.sharing = (host, run) => {
  const { period, shares } = run.sharing;
  const chart = frame(host, { x: [0.4, shares.length + 0.6], y: [0, 1], whole: true, yFormat: percent,
    xLabel: `period of ${period} heads`, yLabel: "fully shared, %", label: `Share of fully shared heads by period of ${period}` });
  const { sx, sy, plot } = chart, wide = Math.min(46, (sx(2) - sx(1)) * 0.7);
  const items = shares.map((share, i) => ({ x: sx(i + 1), y: sy(share), share, i }));
  for (const { x, y } of items) plot.append(svg("rect", { x: x - wide / 2, y, width: wide, height: sy(0) - y, fill: COLOURS.down }));
  tipsFor(chart, () => items, ({ share, i }) => [html("b", {}, `period ${i + 1}`), fact("fully shared", `${(100 * share).toFixed(1)} %`)]);
};
