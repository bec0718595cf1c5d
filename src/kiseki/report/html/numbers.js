"use strict";

/* How the scripts write numbers: as the tables of the report do. */

const numbers = (() => {
  const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

  /* A measured value with so many significant digits, written as the tables of the report write it. */
  function measured(value, significant) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size < 1e15 && (size >= 10 ** significant || Number.isInteger(value))) return grouped.format(value);
    if (size < 1e-4 || size >= 1e15) return Number(value.toPrecision(significant)).toExponential().replace("e+", "e");
    const [whole, fraction] = String(Number(value.toPrecision(significant))).split(".");
    return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (fraction ? `.${fraction}` : "");
  }

  /* Labels of an axis: all in the same manner. */
  function ticks(splits, increment) {
    const size = Math.max(...splits.map(Math.abs));
    const exponential = size >= 1e6 || size < 1e-3;
    return splits.map((value) => {
      if (value === 0) return "0";
      if (exponential) return Number(value.toPrecision(6)).toExponential().replace("e+", "e");
      const decimals = increment ? Math.max(0, -Math.floor(Math.log10(increment) + 1e-9)) : 0;
      return increment ? value.toLocaleString("en", { minimumFractionDigits: Math.min(decimals, 12) }) : measured(value, 6);
    });
  }

  return { count: (value) => grouped.format(value), measured, ticks };
})();
