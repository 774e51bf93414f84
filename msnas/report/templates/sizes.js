// From small to large: the AP of the front's networks and of FPNs of the same sizes, against MACs or milliseconds.
"use strict";

CHARTS.sizes = (host, run) => {
  const key = host.dataset.cost, rows = run.sizes.filter((row) => row[key]);
  const [letter, scale] = key === "macs" ? unit(Math.max(...rows.map((row) => row.macs))) : ["", 1];
  const error = (row) => (row.intervals.ap && row.intervals.ap.se) || 0;
  const chart = frame(host, { x: extent([0, ...rows.map((row) => row[key] / scale)]), height: 320, yFormat: percent,
    y: extent(rows.flatMap((row) => [row.ap - error(row), row.ap + error(row)]), 0.1), yLabel: "AP",
    xLabel: key === "macs" ? `${letter}MACs of the first stage` : "milliseconds of the whole detector",
    label: `AP of networks of several sizes against ${key === "macs" ? "MACs" : "latency"}` });
  const { sx, sy, plot } = chart, items = [];
  const kinds = [["down", (row) => !row.baseline], ["baseline", (row) => row.role === "fpn"], ["quiet", (row) => row.role === "other start"]];
  for (const [colour, belongs] of kinds) {
    const line = rows.filter(belongs).sort((a, b) => a[key] - b[key]).map((row) => ({ x: sx(row[key] / scale), y: sy(row.ap), row }));
    const style = `stroke:${COLOURS[colour]}`;
    plot.append(svg("path", { d: lineOf(line.map((item) => [item.x, item.y])), class: "curve", style }));
    for (const { x, y, row } of line) {
      if (error(row)) plot.append(svg("line", { x1: x, x2: x, y1: sy(row.ap - error(row)), y2: sy(row.ap + error(row)), style }));
      plot.append(svg("circle", { cx: x, cy: y, r: 5, class: "size", fill: COLOURS[colour] }));
    }
    items.push(...line);
  }
  tipsFor(chart, () => items, ({ row }) => [html("b", {}, row.name), fact("AP", `${ap(row.ap)}${error(row) ? ` ± ${ap(error(row))}` : ""}`),
    fact("cost", cost(row.macs)), row.latency_ms ? fact("latency", `${row.latency_ms.toFixed(2)} ms`) : "",
    row.fpn_size ? fact(`to ${row.fpn_size}`, ap(row.difference)) : "", archText(row.architecture)]);
  const known = (kind) => rows.some(kinds[kind][1]);
  legend(host, [[COLOURS.down, "searched, along the front", "line"], ...(known(1) ? [[COLOURS.baseline, "FPN of the same size", "line"]] : []),
    ...(known(2) ? [[COLOURS.quiet, "searched, from the other start", "line"]] : [])]);
};
