"use strict";

/* What stands on a plot beside its curves: phases, evaluations, attempts, and crosses where a value was not finite. */

const marking = (() => {
  const words = report.words;

  /* The column of a curve in uPlot's table, where a curve with a band takes three. */
  function columns(chart) {
    let next = 1;
    return chart.series.map((series) => {
      const column = next;
      next += series.low ? 3 : 1;
      return column;
    });
  }

  /* Evaluations look as they do in the other pictures of a run: diamonds, the first curve of them in a colour of its own. */
  function colourOf(chart, index, colours) {
    const first = chart.series.findIndex((curve) => curve.markers);
    return index === first ? colours.evaluation : colours.lines[index % colours.lines.length];
  }

  function within(plot, draw) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    draw(ctx, bbox, (step) => plot.valToPos(step, "x", true));
    ctx.restore();
  }

  function phaseNames(chart) {
    return [...new Set(chart.phases.map(([, , name]) => name))];
  }

  function shade(plot, chart, colours) {
    const names = phaseNames(chart);
    within(plot, (ctx, bbox, across) => {
      for (const [first, last, name] of chart.phases) {
        ctx.fillStyle = colours.phases[names.indexOf(name) % colours.phases.length];
        const left = across(first - 0.5);
        ctx.fillRect(left, bbox.top, across(last + 0.5) - left, bbox.height);
      }
    });
  }

  /* A diamond at each evaluation, and a dot where a value stands alone between gaps, which no line would show. */
  function points(plot, chart, colours, scale) {
    const { ctx } = plot;
    const steps = plot.data[0];
    const { min, max } = plot.scales.x;
    const places = columns(chart);
    ctx.save(); // but not clipped: a point on the edge is drawn whole
    ctx.lineWidth = devicePixelRatio * scale;
    ctx.strokeStyle = colours.paper;
    chart.series.forEach((curve, index) => {
      if (!plot.series[places[index]].show) return;
      const values = plot.data[places[index]];
      const rows = [...values.keys()].filter((row) => values[row] !== undefined);
      const lost = (place) => values[rows[place]] == null;
      ctx.fillStyle = colourOf(chart, index, colours);
      rows.forEach((row, place) => {
        if (lost(place) || steps[row] < min || steps[row] > max) return;
        if (!curve.markers && !(lost(place - 1) && lost(place + 1))) return;
        point(ctx, plot.valToPos(steps[row], "x", true), plot.valToPos(values[row], "y", true), curve.markers);
      });
    });
    ctx.restore();
  }

  function point(ctx, left, top, diamond) {
    const unit = ctx.lineWidth;
    const arm = 4.5 * unit;
    ctx.beginPath();
    if (diamond) {
      ctx.moveTo(left, top - arm);
      ctx.lineTo(left + arm, top);
      ctx.lineTo(left, top + arm);
      ctx.lineTo(left - arm, top);
      ctx.closePath();
    } else {
      ctx.arc(left, top, 2 * unit, 0, 2 * Math.PI);
    }
    ctx.fill();
    if (diamond) ctx.stroke();
  }

  function mark(plot, chart, colours, scale, font) {
    const unit = devicePixelRatio * scale;
    within(plot, (ctx, bbox, across) => {
      ctx.lineWidth = 1.25 * unit;
      ctx.strokeStyle = colours.ink;
      ctx.fillStyle = colours.ink;
      ctx.font = font.replace(/^\d+/, String(11 * unit));
      ctx.setLineDash([4 * unit, 3 * unit]);
      chart.attempts.forEach((step, index) => {
        const label = words.attempt.replace("{number}", index + 2);
        const left = across(step);
        ctx.beginPath();
        ctx.moveTo(left, bbox.top);
        ctx.lineTo(left, bbox.top + bbox.height);
        ctx.stroke();
        const turned = left + ctx.measureText(label).width + 8 * unit > bbox.left + bbox.width;
        ctx.textAlign = turned ? "right" : "left";
        ctx.fillText(label, left + (turned ? -5 : 5) * unit, bbox.top + bbox.height - (8 + 14 * (index % 3)) * unit);
      });
      ctx.setLineDash([]);
      ctx.strokeStyle = colours.alarm;
      ctx.lineWidth = 1.75 * unit;
      ctx.beginPath();
      const [top, arm] = [bbox.top + 9 * unit, 4 * unit];
      let last = -Infinity;
      for (const step of chart.series.flatMap((series) => series.nonFinite).sort((one, other) => one - other)) {
        const left = across(step);
        if (left - last < 2.5 * arm) continue; // a long stretch of them is a row of crosses, not a smear
        last = left;
        ctx.moveTo(left - arm, top - arm);
        ctx.lineTo(left + arm, top + arm);
        ctx.moveTo(left + arm, top - arm);
        ctx.lineTo(left - arm, top + arm);
      }
      ctx.stroke();
    });
  }

  return { colourOf, columns, mark, phaseNames, points, shade };
})();
