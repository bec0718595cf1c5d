"use strict";

/* Draws curves with uPlot: lines, bands and axes. */

const drawing = (() => {
  const words = report.words;
  const NEAR = 30; // pixels within which a value belongs to where the reader points

  function palette() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    return {
      ink: colour("plot-ink"),
      grid: colour("plot-grid"),
      alarm: colour("plot-alarm"),
      paper: colour("paper"),
      font: colour("sans"),
      evaluation: colour("plot-evaluation"),
      lines: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => colour(`plot-${number}`)),
      phases: [1, 2, 3, 4, 5].map((number) => colour(`phase-${number}`)),
    };
  }

  function unpacked(packed) {
    const chart = {
      ...packed,
      series: packed.series.map((series) => ({
        ...series,
        digits: series.values.digits,
        steps: packing.steps(series.steps),
        values: packing.values(series.values),
        nonFinite: packing.steps(series.nonFinite),
        low: series.low && packing.values(series.low),
        high: series.high && packing.values(series.high),
      })),
    };
    return { ...chart, magnitude: magnitude(chart) };
  }

  /* The power of ten that drawn values are divided by: uPlot labels no axis whose values are very large or small. */
  function magnitude(chart) {
    const values = chart.series.flatMap((series) => [...series.values, ...(series.low ?? []), ...(series.high ?? [])]);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (largest === 0 || (largest >= 1e-9 && largest < 1e12)) return 1;
    return 10 ** Math.min(Math.max(Math.floor(Math.log10(largest)), -300), 300);
  }

  /* One table of all curves over all steps: where a curve has no point there is `undefined`, where it breaks `null`. */
  function joined(chart, logarithmic) {
    const drawable = (values) =>
      values.map((value) => (value === null || (logarithmic && value <= 0) ? null : value / chart.magnitude));
    const tables = [];
    for (const series of chart.series) {
      const columns = [series.values, ...(series.low ? [series.high, series.low] : [])];
      tables.push([series.steps, ...columns.map(drawable)]);
    }
    for (const series of chart.series) tables.push([series.nonFinite]);
    return uPlot.join(tables);
  }

  function logarithmicSplits(minimum, maximum) {
    const first = Math.floor(Math.log10(minimum));
    const last = Math.ceil(Math.log10(maximum));
    const factors = last - first <= 2 ? [1, 2, 5] : [1];
    const stride = Math.ceil((last - first) / 8) || 1;
    const splits = [];
    for (let power = first; power <= last; power += stride) {
      for (const factor of factors) splits.push(Number(`${factor}e${power}`));
    }
    const inside = splits.filter((value) => value >= minimum && value <= maximum);
    return inside.length > 1 ? inside : roundSplits(minimum, maximum);
  }

  /* Round values at equal distances, for a stretch of a logarithmic axis that is shorter than a decade. */
  function roundSplits(minimum, maximum) {
    const power = 10 ** Math.floor(Math.log10((maximum - minimum) / 4));
    const increment = [1, 2, 5, 10].find((factor) => factor * power >= (maximum - minimum) / 4) * power;
    const splits = [];
    for (let count = Math.ceil(minimum / increment); count * increment <= maximum; count++) splits.push(count * increment);
    return splits;
  }

  function padded(minimum, maximum) {
    if (minimum === null) return [0, 1];
    const extent = maximum - minimum || Math.abs(maximum) * 0.1 || 1;
    const lower = minimum - extent * 0.06;
    return [minimum >= 0 && lower < 0 ? 0 : lower, maximum + extent * 0.08];
  }

  function paddedLogarithmically(minimum, maximum) {
    if (minimum === null) return [1, 10];
    const factor = Math.max((maximum / minimum) ** 0.06, 1.05);
    return [minimum / factor, maximum * factor];
  }

  function options(chart, state, size, colours, hooks) {
    const scale = size.scale;
    const font = `${12 * scale}px ${colours.font}`;
    const series = [{}];
    const bands = [];
    chart.series.forEach((curve, index) => {
      const colour = marking.colourOf(chart, index, colours);
      const shown = !state.hidden.has(index);
      const line = curve.markers ? { width: 0.75 * scale, dash: [2 * scale, 3 * scale] } : { width: 1.35 * scale };
      series.push({ label: curve.name, stroke: colour, ...line, show: shown, points: { show: false } });
      if (curve.low) {
        bands.push({ series: [series.length, series.length + 1], fill: `${colour}2e` });
        const edge = { stroke: `${colour}66`, width: 0.5 * scale, show: shown, points: { show: false } };
        series.push({ ...edge }, { ...edge });
      }
    });
    const axis = {
      stroke: colours.ink,
      font,
      grid: { stroke: colours.grid, width: scale },
      ticks: { stroke: colours.grid, width: scale, size: 5 * scale },
      gap: 5 * scale,
    };
    return {
      width: size.width * scale,
      height: size.height * scale,
      padding: [10 * scale, 36 * scale, 0, 0],
      legend: { show: false },
      series,
      bands,
      scales: {
        x: { time: false, range: (_, first, last) => (first === last ? [first - 1, last + 1] : [first, last]) },
        y: state.logarithmic
          ? { distr: 3, range: (_, minimum, maximum) => paddedLogarithmically(minimum, maximum) }
          : { range: (_, minimum, maximum) => padded(minimum, maximum) },
      },
      axes: [
        {
          ...axis,
          space: 70 * scale,
          size: 34 * scale,
          label: words.step,
          labelFont: font,
          labelSize: 20 * scale,
          incrs: [1, 2, 5].flatMap((factor) => [...Array(16).keys()].map((power) => factor * 10 ** power)).sort((a, b) => a - b),
          values: (_, splits) => splits.map(numbers.count),
        },
        {
          ...axis,
          space: 36 * scale,
          size: (plot, labels) => labelWidth(plot, labels, font) + 14 * scale,
          values: (_, splits, __, ___, increment) =>
            numbers.ticks(splits.map((value) => value * chart.magnitude), state.logarithmic ? 0 : increment),
          ...(state.logarithmic && {
            splits: (_, __, minimum, maximum) => logarithmicSplits(minimum, maximum),
            filter: (_, splits) => splits,
          }),
        },
      ],
      cursor: {
        y: false,
        drag: { x: true, y: false, dist: 6 },
        points: { size: 7, width: 2 },
        dataIdx: nearest,
      },
      hooks: {
        ...hooks,
        drawClear: [(plot) => marking.shade(plot, chart, colours)],
        draw: [
          (plot) => marking.points(plot, chart, colours, scale),
          (plot) => marking.mark(plot, chart, colours, scale, font),
        ],
      },
    };
  }

  function labelWidth(plot, labels, font) {
    if (!labels) return 40;
    plot.ctx.save();
    // uPlot multiplies the font by the density of the screen, and divides the size it is given
    plot.ctx.font = font;
    const widest = Math.max(...labels.map((label) => plot.ctx.measureText(label || "").width));
    plot.ctx.restore();
    return Math.ceil(widest);
  }

  /* The index of the point of this curve nearest to where the reader points. */
  function nearest(plot, series, hovered) {
    const values = plot.data[series];
    if (series === 0 || hovered === null || values[hovered] != null) return hovered;
    let before = hovered;
    let after = hovered;
    while (before >= 0 && values[before] == null) before--;
    while (after < values.length && values[after] == null) after++;
    const distance = (index) => (values[index] == null ? Infinity : Math.abs(plot.data[0][index] - plot.data[0][hovered]));
    const index = distance(before) <= distance(after) ? before : after;
    if (distance(index) === Infinity) return hovered;
    const pixels = Math.abs(plot.valToPos(plot.data[0][index], "x") - plot.valToPos(plot.data[0][hovered], "x"));
    return pixels <= NEAR ? index : hovered;
  }

  /* A plot of a chart: `size` is its width and height in CSS pixels, and by how much all of it is enlarged. */
  function plot(chart, state, size, target, hooks = {}) {
    return new uPlot(options(chart, state, size, palette(), hooks), joined(chart, state.logarithmic), target);
  }

  return { palette, plot, unpacked };
})();
