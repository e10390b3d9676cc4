// What is asked for while a decision is being saved waits for it: a list read before would not know of it.
"use strict";

const REFUSED = 400; // and statuses above
let saving = false;
let waiting = null;

document.addEventListener("htmx:confirm", (event) => {
  if (!saving || !event.detail.elt.matches("a, form")) return;
  event.preventDefault();
  waiting = event.detail.issueRequest; // the last of them, as the person sees one page only
});
document.addEventListener("htmx:beforeSend", (event) => {
  if (event.detail.requestConfig.verb !== "post") return;
  saving = true;
  event.detail.xhr.addEventListener("loadend", saved);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { requestConfig, xhr } = event.detail;
  if (requestConfig.verb !== "post" || !waiting) return;
  if (xhr.status < REFUSED) event.detail.shouldSwap = false;
  else waiting = null; // what is wrong has to be seen
});

function saved(event) {
  const next = event.target.status && waiting; // no status: nobody answered
  saving = false;
  waiting = null;
  if (next) next(true);
}
