// Something on top for the customer: how much this person may give in a case, what was given, and giving it.

import { h, icon, replaceInside } from "/assets/dom.js";
import { formatMoney, t } from "/assets/i18n.js";

export class DeskGoodwill extends HTMLElement {
  limits = {};
  online = true;
  #view = null;
  #parts = null;
  #shown = "";

  set view(view) {
    this.#view = view;
    const shown = [view.row.id, ...this.#orders().map((order) => order.id)].join(" ");
    if (shown !== this.#shown) this.#build();
    this.#shown = shown;
    this.#refresh();
  }

  /** Words in another language. */
  relabel() {
    if (!this.#view) return;
    this.#build();
    this.#refresh();
  }

  focusForm() {
    if (!this.#parts) return;
    this.#parts.fold.open = true;
    (this.querySelector("input:not([disabled])") || this.querySelector("summary"))?.focus();
  }

  #orders() {
    return (this.#view.facts?.orders || []).filter((order) => this.limits[order.money.currency]);
  }

  #build() {
    const orders = this.#orders();
    const head = h("summary", { dataset: { key: "goodwill" } });
    const says = h("p", { class: "quiet" });
    const order = h("select", { dataset: { key: "goodwill-order" }, onchange: () => this.#refresh() }, orders.map((one) => h("option", { value: one.id }, one.id)));
    const amount = h("input", { inputmode: "decimal", autocomplete: "off", dataset: { key: "goodwill-amount" } });
    const reason = h("input", { maxlength: "500", autocomplete: "off", dataset: { key: "goodwill-reason" } });
    const book = h("button", { class: "primary", dataset: { key: "goodwill-book" } }, t("desk.goodwill.book"));
    const form = h(
      "form",
      { class: "stacked", onsubmit: (event) => this.#give(event) },
      orders.length > 1 ? h("label", {}, t("desk.goodwill.order"), order) : null,
      h("label", {}, t("desk.goodwill.amount"), amount),
      h("label", {}, t("desk.goodwill.reason"), reason),
      book,
    );
    const wrong = h("p", { class: "bad", role: "alert", hidden: true });
    const fold = h("details", { open: this.#parts?.fold.open }, head, says, form, wrong);
    this.#parts = { head, says, order, amount, reason, book, form, wrong, fold };
    replaceInside(this, orders.length ? fold : null);
  }

  #refresh() {
    const { head, says, form, book } = this.#parts;
    const currency = this.#currency();
    if (!currency) return;
    const given = this.#view.goodwill[currency] || 0;
    head.replaceChildren(t("desk.goodwill"), given ? h("span", { class: "tag figures" }, formatMoney(given, currency)) : "");
    const open = this.#view.proof === "confirmed" && this.#view.row.status !== "closed";
    form.hidden = !open;
    book.disabled = !this.online;
    const left = Math.max(0, this.limits[currency] - given);
    says.textContent = open ? t("desk.goodwill.limit", { limit: formatMoney(this.limits[currency], currency), left: formatMoney(left, currency) }) : t(this.#view.row.status === "closed" ? "refused.closed" : "refused.proof");
  }

  #currency() {
    const { order } = this.#parts;
    return this.#orders().find((one) => one.id === order.value)?.money.currency;
  }

  #give(event) {
    event.preventDefault();
    const { order, amount, reason, wrong } = this.#parts;
    const currency = this.#currency();
    const minor = minorUnits(amount.value);
    const missing = minor === null ? "desk.goodwill.wrong.amount" : reason.value.trim() ? "" : "desk.goodwill.wrong.reason";
    const say = (words) => {
      wrong.hidden = !words;
      wrong.replaceChildren(...(words ? [icon("warning"), words] : []));
    };
    say(missing && t(missing));
    if (missing) {
      (minor === null ? amount : reason).focus();
      return;
    }
    const body = { order: order.value, amount: minor, currency, reason: reason.value.trim(), given: this.#view.goodwill[currency] || 0 };
    const done = () => {
      amount.value = reason.value = "";
    };
    this.dispatchEvent(new CustomEvent("act", { detail: { action: "goodwill", body, done, failed: say }, bubbles: true }));
  }
}

/** Cents of `12`, `12,5` or `12.50`; null for anything else: nobody gives away what he did not mean. */
export function minorUnits(text) {
  const found = /^(\d{1,6})(?:[.,](\d{1,2}))?$/.exec(text.trim().replace(/\s*(€|EUR|kr|NOK|£|GBP)$/i, ""));
  if (!found) return null;
  const minor = Number(found[1]) * 100 + Number((found[2] || "0").padEnd(2, "0"));
  return minor > 0 ? minor : null;
}

customElements.define("desk-goodwill", DeskGoodwill);
