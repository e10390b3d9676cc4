// Window and level on the grey values that the slice was made from; they are loaded when they are needed.
"use strict";

const SLOW = 200; // CSS pixels of a drag that change the width by a factor of e

function startWindow(viewer) {
  const by = (id) => viewer.querySelector(`#${id}`);
  by("preset").addEventListener("change", () => choosePreset(by("preset").value));
  for (const id of ["centre", "width"]) {
    by(id).addEventListener("change", () => {
      const [centre, width] = [Number(by("centre").value), Number(by("width").value)];
      if (width > 0 && Number.isFinite(centre)) setWindow({ preset: "", centre, width });
    });
  }
}

// what the server knows of the slice: sizes, sides, and whether there are values to look at
function applyFacts(state) {
  const { facts, viewer } = state;
  const offered = Boolean(facts.values);
  for (const control of viewer.querySelectorAll("#preset, #centre, #width")) control.disabled = !offered;
  viewer.querySelector("#window-note").textContent = facts.why ?? "";
  if (offered) {
    fillPresets(viewer.querySelector("#preset"), facts.values.presets);
    for (const unit of viewer.querySelectorAll(".unit")) unit.textContent = facts.values.unit;
  }
  labelSides(facts);
  paint();  // lays out, and gives areas in the sizes that are known now
  const kept = keptWindow(facts.values);
  if (kept) setWindow(kept);
  else showWindow();
}

// a preset is that of the new slice; a window of one's own stays where values have the same unit
function keptWindow(values) {
  if (!values || !chosen.window) return null;
  if (chosen.window.preset) return presetOf(values, chosen.window.preset);
  return chosen.window.unit === values.unit ? chosen.window : null;
}

function presetOf(values, name) {
  const found = values.presets.find(([known]) => known === name);
  return found ? { preset: name, centre: found[1], width: found[2] } : null;
}

function fillPresets(select, presets) {
  const names = ["as screened", ...presets.map(([name]) => name)];
  select.replaceChildren(...names.map((name, at) => new Option(name, at ? name : "")), new Option("own", "own"));
}

function choosePreset(name) {
  if (name === "own") return;
  if (name) {
    setWindow(presetOf(shown.facts.values, name));
    return;
  }
  chosen.window = null;
  drawPicture();
  showWindow();
}

async function setWindow(window) {
  chosen.window = { ...window, unit: shown.facts.values.unit };
  showWindow();
  const state = shown;
  if (await loadValues(state) && state === shown && chosen.window) drawWindow(state, chosen.window);
}

function showWindow() {
  const by = (id) => shown.viewer.querySelector(`#${id}`);
  const { window } = chosen;
  const active = window && shown.facts?.values;
  by("preset").value = active ? window.preset || "own" : "";
  by("centre").value = active ? Number(window.centre.toPrecision(5)) : "";
  by("width").value = active ? Number(window.width.toPrecision(5)) : "";
  shown.viewer.dataset.window = active ? `${window.centre} ${window.width}` : "";
}

// drag: sideways the width, downwards the centre
function dragWindow(start, dx, dy) {
  const width = start.width * Math.exp(dx / SLOW);
  setWindow({ preset: "", centre: start.centre + dy * start.width / (2 * SLOW), width });
}

function windowNow() {
  const values = shown.facts?.values;
  if (!values || !values.presets.length) return null;
  if (chosen.window) return chosen.window;
  const [, centre, width] = values.presets.at(-1);
  return { centre, width };
}

async function loadValues(state) {
  if (!state.facts?.values) return false;
  state.loading ??= fetch(state.viewer.dataset.values).then(async (answer) => {
    if (!answer.ok) throw new Error(answer.status);
    const kinds = { Uint8: Uint8Array, Int16: Int16Array, Uint16: Uint16Array, Float32: Float32Array };
    const [rows, cols] = ["X-Rows", "X-Cols"].map((name) => Number(answer.headers.get(name)));
    state.values = { rows, cols, samples: new kinds[state.facts.values.kind](await answer.arrayBuffer()) };
    return true;
  }).catch(() => {
    say(state.viewer, "The grey values could not be loaded from the page's server.");
    return false;
  });
  return state.loading;
}

function drawWindow({ viewer, values, facts }, { centre, width }) {
  const { rows, cols, samples } = values;
  const grey = greyOf(facts.values, centre, width);
  const image = new ImageData(cols, rows);
  const out = new Uint32Array(image.data.buffer);
  const table = tableOf(facts.values.kind, grey);
  for (let i = 0; i < samples.length; i += 1) {
    const level = table ? table[samples[i] & 0xffff] : clamp(grey(samples[i]));
    out[i] = 0xff000000 | level << 16 | level << 8 | level;
  }
  for (const canvas of viewer.querySelectorAll(".picture")) {
    canvas.width = cols;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
  viewer.dataset.drawn = `${centre} ${width}`;
}

// linear between the ends of the window (LINEAR_EXACT, PS3.3 C.11.2.1.3.2)
function greyOf({ slope, intercept, inverted }, centre, width) {
  const low = centre - width / 2;
  return (sample) => {
    const grey = (sample * slope + intercept - low) / width * 255;
    return inverted ? 255 - grey : grey;
  };
}

function clamp(grey) {
  return grey > 0 ? Math.min(255, Math.round(grey)) : 0; // what is no number is black
}

function tableOf(kind, grey) {
  if (kind === "Float32") return null;
  const table = new Uint8Array(65536);
  for (let at = 0; at < 65536; at += 1) table[at] = clamp(grey(kind === "Int16" && at > 32767 ? at - 65536 : at));
  return table;
}

// the value at a pixel in the modality's unit, or the colour of the picture there
function valueAt(col, row) {
  const { facts, values } = shown;
  if (!facts?.values) return "";
  if (!values) {
    loadValues(shown).then(() => sayPlace());
    return "…";
  }
  const value = values.samples[row * values.cols + col] * facts.values.slope + facts.values.intercept;
  return `${Number.isFinite(value) ? Number(value.toPrecision(6)) : "no number"} ${facts.values.unit}`.trim();
}
