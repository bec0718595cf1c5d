"use strict";

/* Tables that a reader can sort, by pointer and by keyboard, and long ones that can be filtered. */

(() => {
  const words = report.words;
  const collator = new Intl.Collator(report.language, { numeric: true });
  const NUMBER = /^[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?/i;

  function number(text) {
    if (/^-?∞/.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
    const found = NUMBER.exec(text.trim());
    return found ? Number(found[0].replaceAll(",", "").replace("−", "-")) : NaN;
  }

  /* What is no number in a column of numbers, such as "not measured", stays below whatever the order. */
  function comparison(column, numeric, direction) {
    const text = (row) => row.cells[column].textContent.trim();
    if (!numeric) return (one, other) => direction * collator.compare(text(one), text(other));
    return (one, other) => {
      const [left, right] = [number(text(one)), number(text(other))];
      if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
      return left === right ? 0 : direction * (left < right ? -1 : 1);
    };
  }

  function sortable(table) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const press = document.createElement("button");
      press.type = "button";
      press.append(...head.childNodes);
      head.append(press);
      press.addEventListener("click", () => {
        const next = { null: "ascending", ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        const numeric = head.classList.contains("numeric");
        const order = next ? original.toSorted(comparison(column, numeric, next === "ascending" ? 1 : -1)) : original;
        body.append(...order);
      });
    });
  }

  function filterable(block) {
    const rows = [...block.querySelectorAll("tbody tr")];
    const texts = rows.map((row) => row.textContent.normalize("NFKC").toLowerCase());
    const input = document.createElement("input");
    const label = document.createElement("label");
    const shown = document.createElement("output");
    const bar = document.createElement("div");
    input.type = "search";
    bar.className = "filter";
    label.append(words.search, input);
    bar.append(label, shown);
    block.prepend(bar);
    input.addEventListener("input", () => {
      const wanted = input.value.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row, index) => (row.hidden = !wanted.every((word) => texts[index].includes(word))));
      const count = rows.filter((row) => !row.hidden).length;
      shown.textContent = words.rows_shown.replace("{shown}", count).replace("{all}", rows.length);
    });
  }

  /* What scrolls sideways must be reachable by keyboard, and only then is worth a stop. */
  function scrollable(box) {
    const table = box.querySelector("table");
    new ResizeObserver(() => {
      if (box.scrollWidth > box.clientWidth) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", (table.caption ?? table.tHead).textContent.trim());
      } else {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    }).observe(box);
  }

  for (const table of document.querySelectorAll("table:not(.numbers)")) {
    if (table.tBodies[0].rows.length > 1) sortable(table);
  }
  document.querySelectorAll("[data-filter]").forEach(filterable);
  document.querySelectorAll(".scroll").forEach(scrollable);
})();
