// Promise the customer something by a time: the case cannot be closed before it is kept.

import { h, icon } from "/assets/dom.js";
import { t } from "/assets/i18n.js";

export class DeskPromise extends HTMLElement {
  #online = true;
  #case = "";
  #parts = null;

  set online(on) {
    this.#online = on;
    if (this.#parts) this.#parts.give.disabled = !on;
  }

  set view(view) {
    this.hidden = view.row.status === "closed";
    if (view.row.id !== this.#case) this.#build();
    this.#case = view.row.id;
  }

  /** Words in another language; what was typed stays. */
  relabel() {
    if (!this.#parts) return;
    const { what, until, fold } = this.#parts;
    const typed = [what.value, until.value];
    this.#build(fold.open);
    [this.#parts.what.value, this.#parts.until.value] = typed;
  }

  focusForm() {
    if (!this.#parts || this.hidden) return;
    this.#parts.fold.open = true;
    this.#parts.what.focus();
  }

  #build(open = false) {
    const what = h("input", { maxlength: "200", autocomplete: "off", dataset: { key: "promise-what" } });
    const until = h("input", { type: "datetime-local", dataset: { key: "promise-until" } });
    const give = h("button", { class: "primary", disabled: !this.#online, dataset: { key: "promise-give" } }, t("desk.promise.give"));
    const wrong = h("p", { class: "bad", role: "alert", hidden: true });
    const form = h(
      "form",
      { class: "stacked", onsubmit: (event) => this.#give(event) },
      h("label", {}, t("desk.promise.what"), what),
      h("label", {}, t("desk.promise.until"), until),
      give,
    );
    const fold = h("details", { open }, h("summary", { dataset: { key: "promise" } }, t("desk.promise.new")), form, wrong);
    this.#parts = { what, until, give, wrong, fold };
    this.replaceChildren(fold);
  }

  #give(event) {
    event.preventDefault();
    const { what, until, wrong, fold } = this.#parts;
    const say = (words) => {
      wrong.hidden = !words;
      wrong.replaceChildren(...(words ? [icon("warning"), words] : []));
    };
    // The browser gives what stands on the clock of whoever typed it.
    const time = new Date(until.value);
    const missing = !what.value.trim() ? "desk.promise.wrong.what" : !(time > new Date()) ? "refused.until" : "";
    say(missing && t(missing));
    if (missing) {
      (what.value.trim() ? until : what).focus();
      return;
    }
    const done = () => {
      what.value = until.value = "";
      fold.open = false;
    };
    const body = { what: what.value.trim(), until: time.toISOString() };
    this.dispatchEvent(new CustomEvent("act", { detail: { action: "promise", body, done, failed: say }, bubbles: true }));
  }
}

customElements.define("desk-promise", DeskPromise);
