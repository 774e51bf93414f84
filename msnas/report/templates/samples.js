// What a controller drew (NAS-FPN Fig. 5): the reward over the samples, and how many of all samples were new.
"use strict";

CHARTS.rewards = (host, run) => {
  const { rows, rewards } = run.samples, known = rows.filter((row) => row.mean !== null);
  const isLoss = rewards.some((one) => one.reward < 0); // NAS-FCOS: minus the loss
  const chart = frame(host, {
    x: [0, rows.at(-1).total], y: extent(rewards.map((one) => one.reward)), yFormat: isLoss ? plain : percent,
    xLabel: "samples", yLabel: isLoss ? "reward" : "reward: one-shot AP", label: "Reward over the samples of the controller",
  });
  const { sx, sy, plot } = chart, shown = isLoss ? plain : ap;
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
    fact("mean ± spread", `${shown(row.mean)} ± ${shown(row.spread)}`)]);
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
