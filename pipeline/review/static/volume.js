// The wheel, arrows and the slider walk through a volume; only the last of quick steps is loaded.
"use strict";

let walking = 0;

function toSlice(input, step) {
  const wanted = Math.min(Number(input.max), Math.max(1, Number(input.value) + step));
  input.value = wanted;
  clearTimeout(walking);
  walking = setTimeout(() => {
    if (saving) return; // the decision leads on
    const { base, object, places, query } = input.dataset;
    // files of a series have an id each; slices of one file are numbered
    const place = JSON.parse(places)[wanted - 1] ?? `${object}/${wanted - 1}`;
    const address = `${base}${place}${query}`;
    htmx.ajax("GET", address, { target: "#page", select: "#page", swap: "outerHTML show:none" })
      .then(() => history.replaceState(null, "", address));
  }, 60);
}

function walk(step) {
  const input = document.getElementById("slice-index");
  if (input) toSlice(input, step);
  return Boolean(input);
}

document.addEventListener("input", (event) => {
  if (event.target.id === "slice-index") toSlice(event.target, 0);
});
document.addEventListener("wheel", (event) => {
  if (!event.target.closest(".stage")) return;
  if (event.ctrlKey) zoomAt(event, Math.exp(-event.deltaY / 300));
  else if (!walk(Math.sign(event.deltaY))) return;
  event.preventDefault();
}, { passive: false });
