// Everything by keyboard; what was done is said to who cannot see it.
"use strict";

const STEP = 0.01;

function typing(target) {
  return target.matches("textarea, select, input:not([type=checkbox]):not([type=range])");
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const arrow = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
  if (arrow ? onArrow(event, arrow) : event.key === "Enter" && event.target.id === "stage" && setEnd()) {
    event.preventDefault();
    return;
  }
  const act = { n: () => focusOn("note"), f: () => focusOn("low"), "?": help, ",": () => walk(-1), ".": () => walk(1),
    "[": () => move(-STEP), "]": () => move(STEP) }[event.key];
  const pressed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (act) act();
  else if (pressed) pressed.click();
  else if (event.key === "j" || event.key === "k") card(event.key === "j" ? 1 : -1);
  else return;
  event.preventDefault();
}

function focusOn(id) {
  document.getElementById(id)?.focus();
}

function help() {
  document.getElementById("help").showModal();
}

function move(step) {
  const input = document.getElementById("threshold");
  if (!input) return;
  input.value = Number(input.value) + step;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

function card(step) {
  const cards = [...document.querySelectorAll("a.card")];
  const place = cards.indexOf(document.activeElement);
  const next = place < 0 ? cards[0] : cards[place + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

// a click into the histogram sets the lowest score; the fields below it do the same by keyboard
function onClick(event) {
  const figure = event.target.closest(".histogram");
  if (event.target.closest('[data-key="?"]')) help();
  if (!figure || !event.target.closest("svg")) return;
  const box = figure.querySelector("svg").getBoundingClientRect();
  const share = (event.clientX - box.left) / box.width;
  const [low, high] = [Number(figure.dataset.low), Number(figure.dataset.high)];
  const input = document.getElementById("low");
  input.value = Number((low + share * (high - low)).toPrecision(4));
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

function sayLast() {
  const last = document.querySelector(".last span")?.textContent ?? "";
  const place = document.getElementById("said");
  if (place.textContent !== last) place.textContent = last;
}

function trouble(there) {
  document.getElementById("trouble").hidden = !there;
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
document.addEventListener("htmx:afterSettle", sayLast);
document.addEventListener("htmx:sendError", () => trouble(true));
document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) trouble(false); });
