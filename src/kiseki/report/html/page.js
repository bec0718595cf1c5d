"use strict";

/* The page around the report: light and dark, printing, and where in the contents the reader is. */

(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const KEY = "kiseki-report-theme";

  /* Storage may be forbidden, as in a frame or a strict browser; then the choice lasts as long as the page. */
  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function remember(name) {
    try {
      localStorage.setItem(KEY, name);
    } catch {
      /* nothing is lost but the memory */
    }
  }

  const current = () => root.dataset.theme ?? (prefersDark.matches ? "dark" : "light");

  function show(name) {
    if (name) root.dataset.theme = name;
    else delete root.dataset.theme;
    theme.textContent = current() === "dark" ? theme.dataset.light : theme.dataset.dark;
    charts.recolour();
  }

  theme.addEventListener("click", () => {
    const name = current() === "dark" ? "light" : "dark";
    remember(name);
    show(name);
  });
  prefersDark.addEventListener("change", () => show(root.dataset.theme));

  let beforePrinting;
  addEventListener("beforeprint", () => {
    beforePrinting = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("printing");
    charts.print();
  });
  addEventListener("afterprint", () => {
    if (beforePrinting) root.dataset.theme = beforePrinting;
    else delete root.dataset.theme;
    root.classList.remove("printing");
    charts.printed();
  });
  document.getElementById("print").addEventListener("click", () => print());

  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main section")];

  /* The last section whose heading is above the upper third of the window. */
  function locate() {
    const line = innerHeight / 3;
    const here = sections.findLast((section) => section.getBoundingClientRect().top <= line) ?? sections[0];
    for (const [id, link] of links) {
      if (id === here?.id) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
      link.parentElement.classList.toggle("here", Boolean(here) && link.parentElement.contains(links.get(here.id)));
    }
  }

  let awaiting = false;
  addEventListener("scroll", () => {
    if (awaiting) return;
    awaiting = true;
    requestAnimationFrame(() => {
      awaiting = false;
      locate();
    });
  }, { passive: true });

  const help = document.querySelector(".help");
  if (help) help.textContent = help.dataset.scripted;
  document.querySelector(".tools").hidden = false;
  root.classList.add("scripted");
  const choice = remembered();
  show(choice === "dark" || choice === "light" ? choice : undefined);
  locate();
})();
