// What HTML and htmx cannot do by themselves: announce news, show the dialog, keep the focus, and
// tell when the portal does not answer. Every page works without this file.
"use strict";

const byId = (id) => document.getElementById(id);

// News comes in a header, so that a screen reader hears a change of state and not each percent.
document.addEventListener("announce", (event) => {
  byId("news").textContent = event.detail.value;
});

// Refusals that the portal sends itself say where they want to be shown.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.status >= 400 && event.detail.xhr.getResponseHeader("HX-Retarget")) {
    event.detail.shouldSwap = true;
  }
});

const dialog = byId("dialog");
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target === dialog && !dialog.open) dialog.showModal();
});
dialog.addEventListener("click", (event) => {
  // On the backdrop the target is the dialog itself.
  if (event.target === dialog || event.target.closest("[data-close]")) {
    event.preventDefault();
    dialog.close();
  }
});

// A line is replaced when its state changes. Where the focus was on a button that went with it,
// it goes to the line's link, not to the top of the page.
let line = null;
const rememberLine = () => {
  line = document.activeElement?.closest("tr[id]")?.id ?? line;
};
document.addEventListener("htmx:beforeSwap", rememberLine);
document.addEventListener("htmx:oobBeforeSwap", rememberLine);
document.addEventListener("htmx:afterSettle", () => {
  if (line && document.activeElement === document.body) {
    byId(`${line}-link`)?.focus({ preventScroll: true });
  }
  line = null;
});

const offline = byId("offline");
const reachable = (yes) => {
  if (offline.hidden !== yes) offline.hidden = yes;
};
document.addEventListener("htmx:sendError", () => reachable(false));
document.addEventListener("htmx:timeout", () => reachable(false));
document.addEventListener("htmx:afterOnLoad", () => reachable(true));
