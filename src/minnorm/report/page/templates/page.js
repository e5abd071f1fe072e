"use strict";
// The behavior of the page. Without it, all texts, tables and images are shown, but no charts.

const page = JSON.parse(document.getElementById("page-data").textContent);
const smooth = matchMedia("(prefers-reduced-motion: no-preference)");

function percent(share) {
  return share === null ? "unknown" : (100 * share).toFixed(1) + " %";
}

function short(number) {
  return String(Number(number.toPrecision(4)));
}

/** Return the position of the step of a curve at a radius, -1 where nothing is known. */
function stepAt(curve, radius) {
  if (curve.limit !== null && radius > curve.limit * (1 + 1e-6)) return -1;
  let low = 0, high = curve.radii.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (curve.radii[middle] <= radius) low = middle;
    else high = middle;
  }
  return low;
}

/** Return the rows of a curve for the chart, with markers at even distances. */
function pointsOf(curve, farthest) {
  const style = { curve: curve.id, color: curve.color, dash: curve.dash, marker: curve.marker, width: curve.width };
  const row = (radius, step, marked) => ({
    ...style, radius, marked,
    accuracy: curve.accuracy[step], low: curve.low[step], high: curve.high[step],
  });
  const rows = curve.radii
    .map((radius, step) => row(radius, step, false))
    .filter((one) => one.radius <= farthest);
  const end = curve.limit === null ? farthest : Math.min(curve.limit, farthest);
  rows.push(row(end, stepAt(curve, end), false));
  for (let part = 0; part < 8; part++) {
    const radius = farthest * (part + (curve.number % 4) / 4 + 0.1) / 8;
    if (radius <= end) rows.push(row(radius, stepAt(curve, radius), true));
  }
  return rows.sort((a, b) => a.radius - b.radius);
}

async function draw(plot, spec, datasets) {
  const options = {
    ast: true, renderer: "svg", actions: false, tooltip: false, defaultStyle: false, hover: false,
  };
  return (await vegaEmbed(plot.querySelector(".drawing"), { ...spec, datasets }, options)).view;
}

/** Show the curves of one norm, with their choices and the values at a radius. */
async function showCurves(chart) {
  const root = document.getElementById("curves-" + chart.norm);
  const plot = root.querySelector(".plot");
  const slider = root.querySelector("input[type=range]");
  const field = root.querySelector("input[type=number]");
  const boxes = [...root.querySelectorAll("[data-run], [data-attack]")];
  const bands = root.querySelector("[data-bands]");
  const lines = new Map(
    [...root.querySelectorAll(".reading tbody tr")].map((line) => [line.dataset.curve, line]));
  const rows = chart.curves.flatMap((curve) => pointsOf(curve, chart.farthest));
  const view = await draw(plot, chart.curves_chart, { curves: rows, values: [] });

  function isShown(curve) {
    return boxes.every((box) => box.checked
      || (box.dataset.run !== curve.run && box.dataset.attack !== curve.attack));
  }

  function update() {
    const radius = Number(slider.value);
    const shown = chart.curves.filter(isShown);
    const values = [];
    for (const curve of chart.curves) lines.get(curve.id).hidden = !shown.includes(curve);
    for (const curve of shown) {
      const step = stepAt(curve, radius);
      const line = lines.get(curve.id);
      const known = step >= 0;
      line.querySelector("[data-accuracy]").textContent = known
        ? (curve.at_most?.[step] ? "≤ " : "") + percent(curve.accuracy[step]) : "unknown";
      line.querySelector("[data-interval]").textContent = known
        ? percent(curve.low[step]) + " to " + percent(curve.high[step]) : "not searched so far out";
      if (known) values.push({ radius, accuracy: curve.accuracy[step], color: curve.color, marker: curve.marker });
    }
    root.querySelector(".nothing").hidden = shown.length > 0;
    slider.setAttribute("aria-valuetext", "radius " + short(radius));
    const hidden = chart.curves.filter((curve) => !shown.includes(curve)).map((curve) => curve.id);
    // Bands of all attacks of a run would cover each other: the closest curve has one, or all without it.
    const closest = new Set(shown.filter((curve) => curve.closest).map((curve) => curve.run));
    const banded = shown.filter((curve) => bands.checked && (curve.closest || !closest.has(curve.run)));
    view.signal("hidden", hidden).signal("bands", banded.map((curve) => curve.id)).signal("radius", radius);
    view.data("values", values).runAsync();
  }

  function setRadius(radius) {
    const inside = Math.min(Math.max(radius, 0), chart.farthest);
    slider.value = inside;
    field.value = short(Number(slider.value));
    update();
  }

  for (const box of [...boxes, bands]) box.addEventListener("change", update);
  slider.addEventListener("input", () => setRadius(Number(slider.value)));
  field.addEventListener("input", () => {
    const radius = Number(field.value);
    if (field.value === "" || !(radius >= 0 && radius <= chart.farthest)) return;
    slider.value = radius;
    update();
  });
  plot.addEventListener("pointermove", (event) => {
    const picture = plot.querySelector("svg");
    const box = picture.getBoundingClientRect();
    const scale = picture.viewBox.baseVal.width / box.width;
    setRadius(view.scale("x").invert((event.clientX - box.left) * scale - view.origin()[0]));
  });
  setRadius(Number(slider.value));
}

/** Show the histograms of one norm. */
function showDistances(chart) {
  const bars = [], names = [];
  chart.distances.forEach((one, row) => {
    const bottom = -row - 1;
    const largest = Math.max(...one.counts, 1);
    one.counts.forEach((count, bin) => {
      if (count === 0) return;
      const top = bottom + 0.66 * count / largest;
      bars.push({ start: one.edges[bin], end: one.edges[bin + 1], bottom, top, color: one.color });
    });
    const none = one.counts.every((count) => count === 0) ? ": none found" : "";
    names.push({ name: one.name + none, median: one.median, bottom, top: bottom + 0.72, name_top: bottom + 1 });
  });
  const plot = document.querySelector("#distances-" + chart.norm + " .plot");
  return draw(plot, chart.distances_chart, { distances: bars, rows: names });
}

/** Make a gallery of figures that one walks through with the arrow keys. */
function walkGallery(root) {
  const figures = [...root.querySelectorAll(".slides > figure")];
  const strip = root.querySelector(".strip");
  const options = [...strip.querySelectorAll("[role=option]")];
  const status = root.querySelector("[role=status]");
  let at = 0;

  options.forEach((option, place) => {
    const picture = new Image();
    const original = figures[place].querySelector("img.adversarial");
    picture.src = original.src;
    picture.alt = "";
    picture.className = original.className;
    option.append(picture);
    option.addEventListener("click", () => go(place));
  });

  function go(place, announce = true) {
    at = Math.min(Math.max(place, 0), figures.length - 1);
    figures.forEach((figure, number) => { figure.hidden = number !== at; });
    options.forEach((option, number) => option.setAttribute("aria-selected", String(number === at)));
    strip.setAttribute("aria-activedescendant", options[at].id);
    const left = options[at].offsetLeft - strip.offsetLeft - (strip.clientWidth - options[at].clientWidth) / 2;
    strip.scrollTo({ left, behavior: smooth.matches && announce ? "smooth" : "auto" });
    root.querySelector(".previous").disabled = at === 0;
    root.querySelector(".next").disabled = at === figures.length - 1;
    root.querySelector(".place").textContent = at + 1 + " of " + figures.length;
    if (announce) status.textContent = at + 1 + " of " + figures.length + ": " + options[at].getAttribute("aria-label");
  }

  const moves = {
    ArrowRight: () => at + 1, ArrowDown: () => at + 1, ArrowLeft: () => at - 1, ArrowUp: () => at - 1,
    PageDown: () => at + 8, PageUp: () => at - 8, Home: () => 0, End: () => figures.length - 1,
  };
  strip.addEventListener("keydown", (event) => {
    if (!(event.key in moves) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    go(moves[event.key]());
  });
  root.querySelector(".previous").addEventListener("click", () => go(at - 1));
  root.querySelector(".next").addEventListener("click", () => go(at + 1));
  root.querySelector(".walk").hidden = false;
  go(0, false);
}

/** Show one run at a time; tabs choose it. */
function chooseRuns(list) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const panels = tabs.map((tab) => document.getElementById(tab.getAttribute("aria-controls")));

  function select(chosen) {
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(tab === chosen));
      tab.tabIndex = tab === chosen ? 0 : -1;
      panels[place].hidden = tab !== chosen;
    });
  }

  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const moves = { ArrowRight: at + 1, ArrowLeft: at - 1 + tabs.length, Home: 0, End: tabs.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = tabs[moves[event.key] % tabs.length];
    select(next);
    next.focus();
  });
  for (const tab of tabs) tab.addEventListener("click", () => select(tab));
  list.hidden = false;
  select(tabs[0]);
  // A link into the panel of another run shows that run.
  const follow = () => {
    const target = document.getElementById(location.hash.slice(1));
    const panel = target && panels.findIndex((one) => one === target || one.contains(target));
    if (target && panel >= 0) {
      select(tabs[panel]);
      target.scrollIntoView();
    }
  };
  addEventListener("hashchange", follow);
  follow();
}

document.getElementById("theme").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.target.value;
});
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not(.data)")) details.open = true;
});
document.querySelectorAll("[role=tablist]").forEach(chooseRuns);
document.querySelectorAll(".gallery").forEach(walkGallery);
document.querySelectorAll(".reading, .choices, .theme").forEach((part) => { part.hidden = false; });

Promise.all(page.charts.flatMap((chart) => [showCurves(chart), showDistances(chart)]))
  .then(() => { document.documentElement.dataset.ready = "true"; });
