// A button that opens a short list of things to do. What is chosen is done at once: in a select of the browser that would
// already happen at the first press of an arrow key.

import { h, icon } from "/assets/dom.js";

let opened = ""; // its key; a page that is drawn anew meanwhile leaves the list open

/** `choices` are pairs of value and words; `act` gets the value. The choices can be found by `key-value`. */
export function menu({ key, words, choices, act, disabled = false }) {
  const show = (on) => {
    opened = on ? key : "";
    list.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  };
  const list = h(
    "span",
    { class: "menu-list", role: "group", "aria-label": words, hidden: opened !== key },
    choices.map(([value, text]) =>
      h(
        "button",
        {
          class: "plain",
          disabled,
          dataset: { key: `${key}-${value}` },
          onclick: () => {
            show(false);
            button.focus();
            act(value);
          },
        },
        text,
      ),
    ),
  );
  const button = h(
    "button",
    { class: "small", "aria-expanded": String(opened === key), disabled, dataset: { key }, onclick: () => show(list.hidden) },
    words,
    icon("down"),
  );
  const step = (by) => {
    const all = [...list.children];
    all[(all.indexOf(document.activeElement) + by + all.length) % all.length].focus();
  };
  const keys = {
    Escape: () => {
      show(false);
      button.focus();
    },
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
  };
  return h(
    "span",
    {
      class: "menu",
      onkeydown: (event) => {
        if (list.hidden || !keys[event.key]) return;
        event.preventDefault();
        event.stopPropagation(); // the page's own Escape leaves the case
        keys[event.key]();
      },
      // Nothing is focused while the page is drawn anew: that is no reason to close.
      onfocusout: (event) => event.relatedTarget && !event.currentTarget.contains(event.relatedTarget) && show(false),
    },
    button,
    list,
  );
}

/** Open the list of a menu within `parent` and go to its first choice. */
export function openMenu(parent, key) {
  const button = parent.querySelector(`[data-key='${key}']`);
  if (!button || button.disabled) return;
  if (button.getAttribute("aria-expanded") !== "true") button.click();
  button.nextElementSibling.querySelector("button")?.focus();
}

document.addEventListener("pointerdown", (event) => {
  if (!opened || event.target.closest?.(".menu")) return;
  document.querySelector(`[data-key='${opened}'][aria-expanded='true']`)?.click();
  opened = "";
});
