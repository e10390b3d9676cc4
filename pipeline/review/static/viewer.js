// The large view: a slice, its map laid over it, and the mask at any threshold, without asking the server.
"use strict";

// what the reviewer chose stays while they walk from slice to slice; never written anywhere
const chosen = { overlay: true, whole: false, opacity: "0.5", threshold: null, beside: false, zeroShot: false, tool: "window", window: null };
let shown = null;

function start() {
  const viewer = document.getElementById("viewer");
  if (!viewer || viewer === shown?.viewer) return;
  shown = { viewer, map: null, facts: null, values: null, bitmap: null };
  const inputs = controls(viewer);
  restore(viewer, inputs);
  for (const input of Object.values(inputs)) {
    input.addEventListener("input", () => { remember(viewer, inputs); paint(); });
  }
  const zeroShot = viewer.querySelector("#zero-shot");  // where the run kept that map, too
  if (zeroShot) {
    zeroShot.checked = chosen.zeroShot;
    zeroShot.addEventListener("input", () => { chosen.zeroShot = zeroShot.checked; loadMap(viewer, shown); });
  }
  viewer.querySelector('[data-key="0"]').addEventListener("click", () => {
    chosen.threshold = null;
    restore(viewer, inputs);
    paint();
  });
  startStage(viewer);
  startWindow(viewer);
  load(viewer, shown);
}

function controls(viewer) {
  const by = (id) => viewer.querySelector(`#${id}`);
  return {
    overlay: by("overlay-on"), beside: by("beside-on"), whole: by("whole-map"), opacity: by("opacity"), threshold: by("threshold"),
  };
}

function restore(viewer, inputs) {
  inputs.overlay.checked = chosen.overlay;
  inputs.beside.checked = chosen.beside;
  inputs.whole.checked = chosen.whole;
  inputs.opacity.value = chosen.opacity;
  inputs.threshold.value = chosen.threshold ?? viewer.dataset.threshold;
  show(viewer, inputs);
}

function remember(viewer, inputs) {
  chosen.overlay = inputs.overlay.checked;
  chosen.beside = inputs.beside.checked;
  chosen.whole = inputs.whole.checked;
  chosen.opacity = inputs.opacity.value;
  const moved = Number(inputs.threshold.value) !== Number(Number(viewer.dataset.threshold).toFixed(3));
  chosen.threshold = moved ? inputs.threshold.value : null;
  show(viewer, inputs);
}

function threshold() {
  return Number(chosen.threshold ?? shown.viewer.dataset.threshold);
}

function show(viewer, inputs) {
  viewer.querySelector("#threshold-value").textContent = threshold().toFixed(3);
  document.getElementById("decided-threshold").value = threshold();
}

async function load(viewer, state) {
  const map = loadMap(viewer, state);
  if (viewer.dataset.picture) {
    try {
      await loadPicture(viewer.dataset.picture, state);
      state.facts = await (await fetch(viewer.dataset.facts)).json();
      if (state === shown) applyFacts(state);
    } catch (error) {
      say(viewer, "The picture could not be loaded from the page's server.");
    }
  } else {
    say(viewer, "Pictures are switched off (--no-pictures).");
  }
  await map;
  viewer.dataset.ready = "true";
}

async function loadMap(viewer, state) {
  const zeroShot = viewer.querySelector("#zero-shot")?.checked ?? false;
  try {
    const map = await readMap(await fetch(viewer.dataset.map + (zeroShot ? "&of=zero-shot" : "")));
    if (zeroShot !== (viewer.querySelector("#zero-shot")?.checked ?? false)) return;  // changed meanwhile
    state.map = map;
    if (state === shown) paint();
  } catch (error) {
    say(viewer, "The map could not be loaded from the page's server.");
  }
}

async function readMap(answer) {
  if (!answer.ok) throw new Error(answer.status);
  const [rows, cols] = ["X-Rows", "X-Cols"].map((name) => Number(answer.headers.get(name)));
  const bytes = await answer.arrayBuffer();
  const view = new DataView(bytes);
  const values = new Uint16Array(rows * cols);
  for (let i = 0; i < values.length; i += 1) values[i] = view.getUint16(2 * i, true);
  return { rows, cols, values };
}

async function loadPicture(address, state) {
  const answer = await fetch(address);
  if (!answer.headers.get("Content-Type").startsWith("image/")) {
    say(state.viewer, await answer.text());
    return;
  }
  state.bitmap = await createImageBitmap(await answer.blob());
  if (state === shown) drawPicture();
}

// the picture as screened, on both sides
function drawPicture() {
  const { bitmap, viewer } = shown;
  if (!bitmap) return;
  for (const canvas of viewer.querySelectorAll(".picture")) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }
}

function say(viewer, text) {
  const place = viewer.querySelector("#no-picture");
  place.textContent = text;
  place.hidden = false;
}

function paint() {
  const { viewer, map } = shown;
  layOut();
  if (!map) return;
  const least = threshold() * 65535;
  const canvas = viewer.querySelector("#overlay");
  canvas.hidden = !chosen.overlay;
  let inside = 0;
  for (const value of map.values) if (value >= least) inside += 1;
  viewer.querySelector("#area").textContent = areaText(inside);
  listRegionsSoon();
  viewer.dataset.inside = String(inside);
  const outline = viewer.querySelector("#outline");
  outline.toggleAttribute("hidden", !chosen.overlay);
  if (chosen.overlay) {
    drawOverlay(canvas, map, least);
    drawOutline(outline, map, least);
  }
  drawHistogram(viewer.querySelector("#map-histogram"), map, least);
}

function drawOverlay(canvas, map, least) {
  const { rows, cols, values } = map;
  canvas.width = cols;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(cols, rows);
  const colours = palette(map, least);
  drawLegend(colours);
  const alpha = Math.round(255 * Number(chosen.opacity));
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] < least && !chosen.whole) continue;
    const place = 3 * (values[i] >> 8);
    image.data[4 * i] = colours[place];
    image.data[4 * i + 1] = colours[place + 1];
    image.data[4 * i + 2] = colours[place + 2];
    image.data[4 * i + 3] = alpha;
  }
  context.putImageData(image, 0, 0);
}

// the colour of each map value; what the mask leaves out stays clear unless the whole map is shown
function drawLegend(colours) {
  const context = shown.viewer.querySelector("#legend").getContext("2d");
  const image = context.createImageData(256, 1);
  const first = chosen.whole ? 0 : Math.ceil(threshold() * 255);
  for (let value = first; value < 256; value += 1) {
    image.data.set([...colours.slice(3 * value, 3 * value + 3), 255], 4 * value);
  }
  context.putImageData(image, 0, 0);
}

// the border of the mask between its pixels, as lines that are as wide at any zoom
function drawOutline(outline, { rows, cols, values }, least) {
  const inside = (row, col) => row >= 0 && col >= 0 && row < rows && col < cols && values[row * cols + col] >= least;
  const pieces = [
    ...runs(rows + 1, cols, (row, col) => inside(row, col) !== inside(row - 1, col), (row, col, long) => `M${col} ${row}h${long}`),
    ...runs(cols + 1, rows, (col, row) => inside(row, col) !== inside(row, col - 1), (col, row, long) => `M${col} ${row}v${long}`),
  ];
  outline.setAttribute("viewBox", `0 0 ${cols} ${rows}`);
  for (const path of outline.children) path.setAttribute("d", pieces.join(""));
}

// what is made of each run of places along a line where something holds
function runs(lines, places, holds, made) {
  const found = [];
  for (let line = 0; line < lines; line += 1) {
    let first = -1;
    for (let place = 0; place <= places; place += 1) {
      const here = place < places && holds(line, place);
      if (here && first < 0) first = place;
      if (!here && first >= 0) {
        found.push(made(line, first, place - first));
        first = -1;
      }
    }
  }
  return found;
}

// 256 colours over the map's own range, so that faint maps show as well
function palette(map, least) {
  const heat = JSON.parse(shown.viewer.dataset.heat);
  const [low, high] = range(map);
  const bottom = chosen.whole ? low : Math.max(low, Math.min(least, high));
  const colours = new Uint8ClampedArray(3 * 256);
  for (let step = 0; step < 256; step += 1) {
    const share = Math.min(1, Math.max(0, (step * 256 - bottom) / Math.max(high - bottom, 1)));
    const at = share * (heat.length - 1);
    const from = Math.min(Math.floor(at), heat.length - 2);
    for (let c = 0; c < 3; c += 1) {
      colours[3 * step + c] = heat[from][c] + (at - from) * (heat[from + 1][c] - heat[from][c]);
    }
  }
  return colours;
}

function range(map) {
  if (!map.range) {
    let low = 65535;
    let high = 0;
    for (const value of map.values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    map.range = [low, high];
  }
  return map.range;
}

function drawHistogram(canvas, map, least) {
  const bins = 120;
  const counts = new Array(bins).fill(0);
  for (const value of map.values) counts[Math.min(bins - 1, Math.floor(value / 65536 * bins))] += 1;
  const most = Math.log1p(Math.max(...counts));
  const style = getComputedStyle(canvas);
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  counts.forEach((count, bin) => {
    const tall = Math.log1p(count) / most * (height - 2);
    const within = (bin + 1) / bins * 65535 > least;
    context.fillStyle = style.getPropertyValue(within ? "--bar" : "--faint");
    context.fillRect(bin / bins * width, height - tall, width / bins - 1, tall);
  });
  context.fillStyle = style.getPropertyValue("--focus");
  context.fillRect(least / 65535 * width - 1, 0, 2, height);
}

document.addEventListener("DOMContentLoaded", start);
document.addEventListener("htmx:afterSettle", start);
