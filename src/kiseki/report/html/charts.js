"use strict";

/* Figures that a reader can point at, zoom, switch curves of, read by keyboard, and print. */

const charts = (() => {
  const words = report.words;
  const HEIGHT = 320;
  const PRINTED = { width: 660, height: 280 }; // in CSS pixels: between the margins of A4, and two to a page
  const PRINTED_SCALE = 3; // a printer shows more than a screen

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function button(label, press) {
    const element = make("button", { type: "button" }, label);
    element.addEventListener("click", press);
    return element;
  }

  /* What the colours of a chart mean; its entries switch curves and show the values pointed at. */
  class Legend {
    constructor(chart, toggle) {
      this.chart = chart;
      this.at = make("li", { class: "at" });
      this.samples = chart.series.map((series) =>
        make("span", { class: "sample", "aria-hidden": "true" }, series.markers ? "◆" : ""),
      );
      this.values = chart.series.map(() => make("span", { class: "value" }));
      this.phases = marking.phaseNames(chart);
      this.swatches = this.phases.map(() => make("span", { class: "swatch", "aria-hidden": "true" }));
      this.band = make("span", { class: "swatch", "aria-hidden": "true" });
      this.cross = make("span", { "aria-hidden": "true" }, "×");
      const entries = chart.series.map((series, index) => this.#entry(series.name, index, toggle));
      const marks = this.#marks();
      this.lists = [make("ul", { class: "legend" }, this.at, ...entries)];
      if (marks.length) this.lists.push(make("ul", { class: "legend" }, ...marks));
    }

    #entry(name, index, toggle) {
      const entry = button("", () => entry.setAttribute("aria-pressed", String(toggle(index))));
      entry.setAttribute("aria-pressed", "true");
      entry.append(this.samples[index], make("span", { class: "name" }, name), this.values[index]);
      return make("li", {}, entry);
    }

    #marks() {
      const marks = this.swatches.map((swatch, index) => [swatch, this.phases[index]]);
      if (this.chart.series.some((series) => series.low)) marks.push([this.band, words.band]);
      if (this.chart.series.some((series) => series.nonFinite.length)) marks.push([this.cross, words.not_finite]);
      return marks.map((mark) => make("li", { class: "mark" }, ...mark));
    }

    paint(colours) {
      const line = (index) => marking.colourOf(this.chart, index, colours);
      this.chart.series.forEach((series, index) => {
        const { style } = this.samples[index];
        if (series.markers) style.color = line(index);
        else style.background = `linear-gradient(${line(index)}, ${line(index)}) center / 100% 2.5px no-repeat`;
        if (series.low) style.backgroundColor = this.band.style.background = `${line(index)}2e`;
      });
      this.swatches.forEach((swatch, index) => {
        swatch.style.background = colours.phases[index % colours.phases.length];
      });
      this.cross.style.color = colours.alarm;
    }

    show(at, values) {
      this.at.textContent = `${words.step} ${at}`;
      this.values.forEach((element, index) => (element.textContent = values?.[index] ?? ""));
    }
  }

  class Chart {
    constructor(figure, packed) {
      this.data = drawing.unpacked(packed);
      this.columns = marking.columns(this.data);
      this.plot = null;
      const positive = this.data.series.some((series) => series.values.some((value) => value > 0));
      this.state = { logarithmic: this.data.logarithmic && positive, hidden: new Set() };
      this.legend = new Legend(this.data, (index) => this.toggle(index));
      this.place = make("div", { class: "plot", role: "img", tabindex: "0", "aria-label": this.data.alternative });
      this.told = make("p", { class: "told", role: "status" });
      this.scale = button(words.logarithmic, () => this.rescale());
      this.scale.setAttribute("aria-pressed", String(this.state.logarithmic));
      this.scale.disabled = !positive;
      this.reset = button(words.reset_zoom, () => this.unzoom());
      this.reset.disabled = true;
      this.#furnish(figure);
      this.#listen();
    }

    /* Everything but the drawing stands from the start, so that nothing moves when it comes. */
    #furnish(figure) {
      const caption = figure.querySelector("figcaption");
      const head = make("div", { class: "chart-head" });
      caption.replaceWith(head);
      head.append(caption, this.scale, this.reset);
      head.after(make("p", { class: "unit" }, this.data.unit), this.place, ...this.legend.lists, this.told);
      figure.querySelector("details").open = false;
      this.legend.paint(drawing.palette());
      this.legend.show("");
    }

    #listen() {
      const keys = {
        ArrowLeft: () => this.point(this.plot.cursor.left - this.stride()),
        ArrowRight: () => this.point(this.plot.cursor.left + this.stride()),
        Home: () => this.point(0),
        End: () => this.point(Infinity),
        "+": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        Escape: () => this.unzoom(),
      };
      this.place.addEventListener("keydown", (event) => {
        if (!this.plot || !Object.hasOwn(keys, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        keys[event.key]();
      });
      new ResizeObserver(() => {
        const width = this.place.clientWidth;
        if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
      }).observe(this.place);
    }

    draw() {
      const kept = this.kept();
      this.plot?.destroy();
      this.plot = null;
      const size = { width: this.place.clientWidth || PRINTED.width, height: HEIGHT, scale: 1 };
      this.plot = drawing.plot(this.data, this.state, size, this.place, {
        setCursor: [() => this.plot && this.read()],
        setScale: [(_, key) => key === "x" && this.plot && this.zoomed()],
      });
      if (kept) this.plot.setScale("x", kept);
      this.legend.paint(drawing.palette());
      queueMicrotask(() => this.zoomed());
    }

    redraw() {
      if (this.plot) this.draw();
      else this.legend.paint(drawing.palette());
    }

    /* A drawing for paper: only its canvas is shown, larger than it is, in place of the one on the screen. */
    print() {
      const page = drawing.plot(this.data, this.state, { ...PRINTED, scale: PRINTED_SCALE / devicePixelRatio }, make("div"));
      const kept = this.kept();
      if (kept) page.setScale("x", kept);
      this.place.append(page.ctx.canvas);
      this.legend.paint(drawing.palette());
      return page;
    }

    toggle(index) {
      const { hidden } = this.state;
      const hide = !hidden.has(index);
      hidden[hide ? "add" : "delete"](index);
      const next = this.columns[index + 1] ?? this.plot?.series.length;
      for (let column = this.columns[index]; column < next; column++) this.plot?.setSeries(column, { show: !hide });
      return !hide;
    }

    rescale() {
      this.state.logarithmic = !this.state.logarithmic;
      this.scale.setAttribute("aria-pressed", String(this.state.logarithmic));
      this.redraw();
    }

    whole() {
      const steps = this.plot.data[0];
      return { min: steps[0], max: steps[steps.length - 1] };
    }

    /* The stretch of steps that a reader zoomed in on, or null. */
    kept() {
      if (this.reset.disabled) return null;
      const { min, max } = this.plot.scales.x;
      return { min, max };
    }

    unzoom() {
      this.plot.setScale("x", this.whole());
      this.place.focus({ preventScroll: true });
    }

    zoom(factor) {
      const { min, max } = this.plot.scales.x;
      const whole = this.whole();
      const { left } = this.plot.cursor;
      const middle = left >= 0 ? this.plot.posToVal(left, "x") : (min + max) / 2;
      this.plot.setScale("x", {
        min: Math.max(whole.min, middle - (middle - min) * factor),
        max: Math.min(whole.max, middle + (max - middle) * factor),
      });
    }

    zoomed() {
      const { min, max } = this.plot.scales.x;
      const whole = this.whole();
      this.reset.disabled = min <= whole.min && max >= whole.max;
      this.read();
    }

    stride() {
      return Math.max(this.plot.over.clientWidth / 100, 1);
    }

    point(left) {
      const { width } = this.plot.over.getBoundingClientRect();
      this.plot.setCursor({ left: Math.min(Math.max(left, 0), width - 1), top: 10 });
      const { step, values } = this.readings();
      const told = this.data.series.map((series, index) => `${series.name} ${values[index] || "—"}`);
      this.told.textContent = `${words.step} ${step}: ${told.join(", ")}`;
    }

    readings() {
      const { idx, idxs } = this.plot.cursor;
      if (idx == null) return null;
      const values = this.data.series.map((series, index) => {
        const column = this.columns[index];
        const value = this.plot.data[column][idxs[column]];
        if (value == null || this.state.hidden.has(index)) return "";
        return numbers.measured(value * this.data.magnitude, Math.min(series.digits, 6));
      });
      return { step: numbers.count(this.plot.data[0][idx]), values };
    }

    read() {
      const readings = this.readings();
      const { min, max } = this.plot.scales.x;
      const stretch = `${numbers.count(Math.ceil(min))}–${numbers.count(Math.floor(max))}`;
      this.legend.show(readings?.step ?? stretch, readings?.values);
    }
  }

  const made = new Map(
    [...document.querySelectorAll("figure[data-chart]")].map((figure) => [
      figure,
      new Chart(figure, report.charts[figure.dataset.chart]),
    ]),
  );

  /* Forty charts are drawn when they come near, not all before the first page shows. */
  const coming = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        coming.unobserve(target);
        made.get(target).draw();
      }
    },
    { rootMargin: "800px" },
  );
  for (const figure of made.keys()) coming.observe(figure);

  let pages = [];
  return {
    recolour: () => made.forEach((chart) => chart.redraw()),
    print: () => (pages = [...made.values()].map((chart) => chart.print())),
    printed: () => {
      for (const page of pages) {
        page.ctx.canvas.remove();
        page.destroy();
      }
      pages = [];
      made.forEach((chart) => chart.legend.paint(drawing.palette()));
    },
  };
})();
