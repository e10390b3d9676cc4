// Where the picture stands in the window: zoom, pan, sides, scale bar, the value under the pointer, the ruler.
"use strict";

const ZOOM_STEP = 1.25;
const MOST_ZOOM = 64; // CSS pixels of a column
const SVG = "http://www.w3.org/2000/svg";

// zoom: CSS pixels of a column, null fits; x, y: the share of the slice that is in the middle of the pane
const view = { zoom: null, x: 0.5, y: 0.5, size: "" };
let spot = null; // column and row under the pointer or the crosshair
let ruler = null; // its ends, in columns and rows
let held = null; // what a drag began with

function startStage(viewer) {
  const { rows, cols } = viewer.dataset;
  if (view.size !== `${rows}x${cols}`) fitView();
  view.size = `${rows}x${cols}`;
  [spot, ruler, held] = [null, null, null];
  const stage = viewer.querySelector("#stage");
  stage.addEventListener("pointerdown", grab);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", () => { held = null; });
  stage.addEventListener("pointercancel", () => { held = null; });
  stage.addEventListener("dblclick", () => { fitView(); layOut(); });
  for (const button of viewer.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => useTool(button.dataset.tool));
  }
  const acts = {
    "zoom-in": () => zoomBy(ZOOM_STEP), "zoom-out": () => zoomBy(1 / ZOOM_STEP), native: nativeView,
    fit: () => { fitView(); layOut(); },
  };
  for (const [id, act] of Object.entries(acts)) viewer.querySelector(`#${id}`).addEventListener("click", act);
  new ResizeObserver(layOut).observe(stage);
  useTool(chosen.tool);
}

function useTool(name) {
  chosen.tool = name;
  for (const button of shown.viewer.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === name));
  }
  shown.viewer.querySelector("#stage").dataset.tool = name;
}

function fitView() {
  Object.assign(view, { zoom: null, x: 0.5, y: 0.5 });
}

// one pixel of the slice on one of the screen
function nativeView() {
  view.zoom = 1 / devicePixelRatio;
  layOut();
}

// the place of the slice in its pane, in CSS pixels
function placed() {
  const { viewer, facts } = shown;
  const pane = viewer.querySelector("#pane");
  const [rows, cols] = [Number(viewer.dataset.rows), Number(viewer.dataset.cols)];
  const aspect = facts?.aspect ?? 1;
  const fit = Math.min(pane.clientWidth / cols, pane.clientHeight / (rows * aspect));
  const across = view.zoom ?? fit;
  const down = across * aspect;
  return {
    rows, cols, across, down, fit,
    left: pane.clientWidth / 2 - view.x * cols * across, top: pane.clientHeight / 2 - view.y * rows * down,
  };
}

function layOut() {
  if (!shown?.viewer.isConnected) return;
  const { viewer } = shown;
  for (const id of ["beside", "pane-label"]) viewer.querySelector(`#${id}`).hidden = !chosen.beside;
  const place = placed();
  for (const layer of viewer.querySelectorAll(".pane canvas, #outline")) {
    layer.style.width = `${place.cols * place.across}px`;
    layer.style.height = `${place.rows * place.down}px`;
    layer.style.transform = `translate(${place.left}px, ${place.top}px)`;
    layer.style.imageRendering = place.across * devicePixelRatio >= 2 ? "pixelated" : "auto";
  }
  viewer.dataset.zoom = String(place.across);
  drawScale(place);
  drawRuler(place);
  loadNative(place);
}

// a picture that was made smaller for the page is loaded whole once somebody looks closer
async function loadNative({ across, cols }) {
  const state = shown;
  const small = state.bitmap && state.bitmap.width < cols && across * devicePixelRatio > state.bitmap.width / cols;
  if (!small || state.native) return;
  state.native = true;
  const window = chosen.window;
  await loadPicture(`${state.viewer.dataset.picture}&size=native`, state).catch(() => {});
  if (state === shown && window && state.facts?.values) setWindow(window);
}

function zoomBy(factor, middle = null) {
  const { across, fit, left, top, cols, rows, down } = placed();
  const zoom = Math.min(MOST_ZOOM, Math.max(fit / 2, across * factor));
  const pane = shown.viewer.querySelector("#pane");
  const at = middle ?? { x: pane.clientWidth / 2, y: pane.clientHeight / 2 };
  // what is under the pointer stays there
  const [x, y] = [(at.x - left) / (cols * across), (at.y - top) / (rows * down)];
  view.zoom = zoom;
  view.x = x + (pane.clientWidth / 2 - at.x) / (cols * zoom);
  view.y = y + (pane.clientHeight / 2 - at.y) / (rows * zoom * down / across);
  layOut();
}

function zoomAt(event, factor) {
  const pane = event.target.closest(".pane");
  if (!pane) return;
  const box = pane.getBoundingClientRect();
  zoomBy(factor, { x: event.clientX - box.left, y: event.clientY - box.top });
}

function panBy(dx, dy) {
  const { across, down, cols, rows } = placed();
  view.zoom ??= across;
  view.x -= dx / (cols * across);
  view.y -= dy / (rows * down);
  layOut();
}

// column and row under the pointer, with their fractions
function pixelAt(event) {
  const pane = event.target.closest(".pane");
  if (!pane) return null;
  const box = pane.getBoundingClientRect();
  const { left, top, across, down } = placed();
  return [(event.clientX - box.left - left) / across, (event.clientY - box.top - top) / down];
}

function grab(event) {
  if (event.pointerType === "touch" || event.button > 1) return; // a finger scrolls the page
  const at = pixelAt(event);
  if (!at) return;
  const tool = event.button === 1 || event.shiftKey ? "pan" : chosen.tool;
  held = { tool, x: event.clientX, y: event.clientY, window: windowNow() };
  if (tool === "ruler") ruler = [at, at];
  event.target.closest(".pane").setPointerCapture(event.pointerId);
  event.preventDefault();
  shown.viewer.querySelector("#stage").focus({ preventScroll: true });
}

function drag(event) {
  const at = pixelAt(event);
  if (!at) return;
  spot = at.map(Math.floor);
  sayPlace();
  if (!held) return;
  const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
  if (held.tool === "pan") {
    panBy(dx, dy);
    Object.assign(held, { x: event.clientX, y: event.clientY });
  } else if (held.tool === "ruler") {
    ruler = [ruler[0], at];
    drawRuler(placed());
  } else if (held.window && (dx || dy)) {
    dragWindow(held.window, dx, dy);
  }
}

function sayPlace() {
  const { viewer, map } = shown;
  const [rows, cols] = [Number(viewer.dataset.rows), Number(viewer.dataset.cols)];
  const place = viewer.querySelector("#readout");
  if (!spot || spot[0] < 0 || spot[1] < 0 || spot[0] >= cols || spot[1] >= rows) {
    place.textContent = "";
    return;
  }
  const [col, row] = spot;
  const value = valueAt(col, row);
  const at = map ? Math.floor(row / rows * map.rows) * map.cols + Math.floor(col / cols * map.cols) : 0;
  const heat = map ? `map ${(map.values[at] / 65535).toFixed(3)}` : "";
  place.textContent = [`column ${col + 1}, row ${row + 1}`, value, heat].filter(Boolean).join("; ");
}

function labelSides({ marks }) {
  for (const [at, side] of ["left", "right", "top", "bottom"].entries()) {
    for (const mark of shown.viewer.querySelectorAll(`.mark.${side}`)) mark.textContent = marks?.[at] ?? "";
  }
  shown.viewer.querySelector("#sides").textContent = marks
    ? `Left edge ${marks[0]}, right ${marks[1]}, top ${marks[2]}, bottom ${marks[3]}.` : "";
}

function drawScale({ across }) {
  const { viewer, facts } = shown;
  const scale = viewer.querySelector("#scale");
  scale.hidden = !facts?.spacing;
  if (scale.hidden) return;
  const pixelsPerMm = across / facts.spacing[1];
  const most = viewer.querySelector("#pane").clientWidth * 0.3 / pixelsPerMm;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = power * [5, 2, 1].find((factor) => factor * power <= most);
  scale.querySelector(".bar").style.width = `${length * pixelsPerMm}px`;
  scale.querySelector("span:last-child").textContent = `${Number(length.toPrecision(2))} mm${where(facts)}`;
}

// sizes of a projection are those of its shadow
function where(facts) {
  return facts.inPatient ? "" : " at the detector";
}

function lengthText([[x0, y0], [x1, y1]]) {
  const { facts } = shown;
  const [down, across] = facts?.spacing ?? [1, 1];
  const length = Math.hypot((x1 - x0) * across, (y1 - y0) * down);
  return facts?.spacing ? `${length.toFixed(1)} mm${where(facts)}` : `${length.toFixed(1)} pixels`;
}

function areaText(inside) {
  const { viewer, map, facts } = shown;
  const share = inside / map.values.length;
  const percent = `${(100 * share).toFixed(2)} %`;
  if (!facts?.spacing) return percent;
  return `${percent} (${sizeText(share * viewer.dataset.rows * viewer.dataset.cols)})`;
}

function sizeText(pixels) {
  const { facts } = shown;
  if (!facts?.spacing) return `${Math.round(pixels)} pixels`;
  return `${Number((pixels * facts.spacing[0] * facts.spacing[1]).toPrecision(3))} mm²${where(facts)}`;
}

function drawRuler({ left, top, across, down }) {
  const { viewer } = shown;
  const layer = viewer.querySelector("#ruler-layer");
  const at = ([col, row]) => [left + col * across, top + row * down];
  layer.replaceChildren();
  if (ruler) {
    const [[x1, y1], [x2, y2]] = ruler.map(at);
    for (const kind of ["under", "over"]) layer.append(shape("line", { x1, y1, x2, y2, class: kind }));
  }
  if (chosen.tool === "ruler" && spot?.byKey) {
    const [cx, cy] = at([spot[0] + 0.5, spot[1] + 0.5]);
    layer.append(shape("circle", { cx, cy, r: 6, class: "over" }));
  }
  viewer.querySelector("#length").textContent = ruler ? lengthText(ruler) : "";
}

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// arrows: through the volume; with Shift they pan; with the ruler they move a crosshair, and Enter sets its ends
function onArrow(event, [dx, dy]) {
  const onStage = event.target.id === "stage";
  if (event.target.matches("input, select, textarea") || !(onStage || event.target.matches("body, main"))) return false;
  if (onStage && chosen.tool === "ruler") moveSpot(dx, dy, event.shiftKey ? 10 : 1);
  else if (event.shiftKey && shown) panBy(-40 * dx, -40 * dy);
  else return walk(dx + dy);
  return true;
}

function moveSpot(dx, dy, step) {
  const { rows, cols } = placed();
  const [col, row] = spot ?? [Math.floor(cols / 2), Math.floor(rows / 2)];
  spot = [Math.min(cols - 1, Math.max(0, col + dx * step)), Math.min(rows - 1, Math.max(0, row + dy * step))];
  spot.byKey = true;
  if (ruler?.open) ruler = Object.assign([ruler[0], centreOf(spot)], { open: true });
  sayPlace();
  drawRuler(placed());
}

function centreOf([col, row]) {
  return [col + 0.5, row + 0.5];
}

function setEnd() {
  if (chosen.tool !== "ruler" || !spot) return false;
  ruler = ruler?.open ? [ruler[0], centreOf(spot)] : Object.assign([centreOf(spot), centreOf(spot)], { open: true });
  drawRuler(placed());
  return true;
}
