// The address of the wallboard for a screen that nobody signs in at: made here, shown once, copied.

import { h, icon } from "/assets/dom.js";
import { t } from "/assets/i18n.js";
import { post } from "./api.js";
import { refusalWords } from "./words.js";

export class ScreenAddress extends HTMLElement {
  #link = null;
  #said = "";

  connectedCallback() {
    this.render();
  }

  render() {
    const said = h("p", { class: "quiet", role: "status" }, this.#said);
    if (!this.#link) {
      this.replaceChildren(h("button", { dataset: { key: "screen-make" }, onclick: () => this.#make() }, icon("link"), t("screen.make")), said);
      return;
    }
    const field = h("input", { readonly: true, value: this.#link.address, "aria-label": t("screen.address"), dataset: { key: "screen-address" }, onfocus: () => field.select() });
    const copy = async () => {
      field.select();
      try {
        await navigator.clipboard.writeText(this.#link.address);
        said.textContent = t("screen.copied");
      } catch {
        said.textContent = t("screen.copy.self"); // the browser keeps pages from the clipboard where there is no TLS
      }
    };
    this.replaceChildren(h("p", { class: "screen-address" }, field, h("button", { class: "primary", dataset: { key: "screen-copy" }, onclick: copy }, t("screen.copy"))), h("p", { class: "quiet" }, t("screen.explain", { n: this.#link.days })), said);
  }

  async #make() {
    try {
      const { path, days } = await post("wallboard/link", {});
      this.#link = { address: new URL(path, location.href).href, days };
      this.#said = "";
    } catch (refusal) {
      this.#said = refusalWords(refusal);
    }
    this.render();
    this.querySelector("input, button").focus();
  }
}

customElements.define("screen-address", ScreenAddress);
