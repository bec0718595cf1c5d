"use strict";

/* What the page holds as data, and how its packed curves are read; packing.py says how they are packed. */

const report = JSON.parse(document.getElementById("charts").textContent);

const packing = (() => {
  const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const DIGIT = Object.fromEntries([...ALPHABET].map((character, digit) => [character, digit]));

  function steps(text) {
    const unpacked = [];
    let last = 0;
    let difference = 0;
    let weight = 1;
    for (const character of text) {
      const digit = DIGIT[character];
      difference += (digit & 31) * weight;
      weight *= 32;
      if (digit < 32) {
        last += difference;
        unpacked.push(last);
        difference = 0;
        weight = 1;
      }
    }
    return unpacked;
  }

  function values({ digits, lowest, width, codes }) {
    const first = 10 ** (digits - 1);
    const unpacked = [];
    for (let start = 0; start < codes.length; start += width) {
      let code = 0;
      for (let place = start; place < start + width; place++) code = code * 64 + DIGIT[codes[place]];
      unpacked.push(code === 0 ? null : code === 1 ? 0 : decimal(code - 2, first, lowest - digits + 1));
    }
    return unpacked;
  }

  function decimal(code, first, lowest) {
    const mantissa = first + (code % (9 * first));
    const signAndExponent = Math.floor(code / (9 * first));
    const exponent = lowest + Math.floor(signAndExponent / 2);
    return Number(`${signAndExponent % 2 ? "-" : ""}${mantissa}e${exponent}`);
  }

  return { steps, values };
})();
