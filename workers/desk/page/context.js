// The right column: only what helps now. Who it is, what we understood, what was promised, what is missing to close.

import { channelIcon, h, icon, replaceInside } from "/assets/dom.js";
import { formatDay, formatMoney, formatMonth, formatTime, t, tOr } from "/assets/i18n.js";
import { callButton, callCard } from "./calling.js";
import "./goodwill.js";
import "./identity.js";
import "./promising.js";
import { aboutWords, becauseWords, channelName, departmentName, issueName, languageName, nobody, statusName } from "./words.js";

export const OUTCOMES = ["solved", "refunded", "exchanged", "repaired", "explained", "declined", "praised", "no-answer"];

export class DeskContext extends HTMLElement {
  view = null;
  online = true;
  refused = null; // what was missing when somebody last tried to close
  limits = {}; // what this person may give in a case, by currency
  #identity = document.createElement("desk-identity");
  #goodwill = document.createElement("desk-goodwill");
  #promise = document.createElement("desk-promise");
  // What is drawn anew lies in slots: the forms are never moved, so that nobody loses his place while he types.
  #slots = Object.fromEntries(["calling", "customer", "understood", "orders", "promises", "rest"].map((name) => [name, h("div", { class: "slot" })]));
  #orderCard = h("section", { class: "card orders-card" }, this.#slots.orders, this.#goodwill);

  #promiseCard = h("section", { class: "card promises" }, this.#slots.promises, this.#promise);

  connectedCallback() {
    const { calling, customer, understood, rest } = this.#slots;
    this.replaceChildren(calling, h("section", { class: "card customer" }, customer, this.#identity), understood, this.#orderCard, this.#promiseCard, rest);
    this.render();
  }

  render() {
    for (const part of this.children) part.hidden = !this.view;
    if (!this.view) return;
    this.#identity.online = this.#goodwill.online = this.#promise.online = this.online;
    this.#goodwill.limits = this.limits;
    this.#identity.view = this.#goodwill.view = this.#promise.view = this.view;
    const orders = this.#orders();
    this.#orderCard.hidden = !orders;
    replaceInside(this.#slots.calling, callCard(this.view, this.#calls()));
    replaceInside(this.#slots.customer, this.#customer());
    replaceInside(this.#slots.understood, this.#understood());
    replaceInside(this.#slots.orders, orders);
    this.#promiseCard.hidden = this.#promise.hidden && !this.view.promises.length;
    replaceInside(this.#slots.promises, this.#promises());
    replaceInside(this.#slots.rest, this.#targets(), this.#closing(), this.#others());
  }

  focusClose() {
    this.querySelector("[data-key='outcome'], [data-key='close']")?.focus();
  }

  /** The words of these are drawn when they change; the rest anew each time. */
  relabel() {
    this.#identity.render();
    this.#goodwill.relabel();
    this.#promise.relabel();
    this.render();
  }

  focusCall() {
    this.querySelector("[data-key='call'], [data-key='called.talked']")?.focus();
  }

  focusIdentity() {
    this.#identity.focusForm();
  }

  focusGoodwill() {
    this.#goodwill.focusForm();
  }

  focusPromise() {
    this.#promise.focusForm();
  }

  focusOutcome() {
    this.querySelector("[data-key='outcome']")?.focus();
  }

  /** The customer needs nothing else: noted where that was asked. */
  noteNothingElse() {
    this.querySelector("[data-key='answered']")?.click();
  }

  #do(action, body = {}) {
    this.dispatchEvent(new CustomEvent("act", { detail: { action, body }, bubbles: true }));
  }

  #calls() {
    return { online: this.online, call: () => this.#do("call"), called: (result) => this.#do("called", { result }) };
  }

  #section(key, ...content) {
    return h("section", { class: `card ${key}` }, h("h2", {}, t(`desk.context.${key}`)), content);
  }

  #customer() {
    const { view } = this;
    const facts = view.facts;
    return [
      h("h2", {}, t("desk.context.customer")),
      h("p", { class: "big" }, facts?.name || view.row.name || t(nobody(view.row))),
      h("p", { class: view.proof === "confirmed" ? "good" : "quiet" }, icon(view.proof === "confirmed" ? "check" : "person"), t(`proof.${view.proof}`)),
      h(
        "ul",
        { class: "plain-list" },
        view.routes.map((route) =>
          h(
            "li",
            {},
            channelIcon(route.channel, channelName(route.channel)),
            h("span", { class: "address" }, route.channel === "chat" ? t("desk.route.chat") : route.address),
            route.channel === "phone" ? callButton(view, this.#calls()) : null,
          ),
        ),
      ),
      facts?.lines?.length ? h("ul", { class: "plain-list facts" }, facts.lines.map((line) => h("li", {}, h("span", { class: "quiet" }, tOr(`fact.${line.name}`, line.name)), h("span", {}, factValue(line))))) : null,
      view.satisfaction ? h("p", { class: view.satisfaction < 3 ? "bad" : "quiet" }, icon("flag"), t("desk.satisfaction", { score: view.satisfaction })) : null,
      h("p", { class: "quiet" }, icon("bubble"), t("desk.speaks", { language: languageName(view.row.language) })),
    ];
  }

  #understood() {
    const found = this.view.events.filter((event) => event.kind === "understood");
    // A "thanks" on the way is understood too, and is not what the case is about.
    const last = found.findLast((event) => event.intents?.includes(this.view.row.intent)) || found.findLast((event) => event.intents?.length) || found[found.length - 1];
    if (!last) return this.#section("understood", h("p", { class: "quiet" }, t("desk.understood.nothing")));
    return this.#section(
      "understood",
      h(
        "p",
        { class: "big" },
        last.intents?.length ? t("desk.understood.about", { issue: issueName(last.intents[0]) }) : t("desk.about.unknown"),
        last.confidence ? h("span", { class: "tag figures" }, `${Math.round(last.confidence * 100)}\u00a0%`) : null,
      ),
      last.reasons?.length ? h("p", { class: "quiet" }, t("desk.because", { words: last.reasons.map(becauseWords).join(", ") })) : null,
      h("p", { class: "quiet" }, t("desk.goes", { department: departmentName(last.department || "desk") }), last.tone && last.tone !== "calm" ? `, ${t(`flag.${last.tone}`)}` : ""),
    );
  }

  #orders() {
    const orders = this.view.facts?.orders || [];
    if (!orders.length) return null;
    return [
      h("h2", {}, t("desk.context.orders")),
      h(
        "ul",
        { class: "plain-list orders" },
        orders.map((order) =>
          h(
            "li",
            {},
            h("span", { class: "figures" }, order.id),
            h("span", { class: "quiet" }, `${formatDay(order.placed)}, ${t(`order.${order.state}`)}`),
            h("span", { class: "figures" }, formatMoney(order.money.minor, order.money.currency)),
          ),
        ),
      ),
    ];
  }

  #promises() {
    const { promises } = this.view;
    return [
      h("h2", {}, t("desk.context.promises")),
      promises.length ? h("ul", { class: "plain-list promises" }, promises.map((promise) => this.#open(promise))) : null,
    ];
  }

  #open(promise) {
    const until = t("desk.until", { time: `${formatDay(promise.until)} ${formatTime(promise.until)}` });
    const broke = promise.broke && t(promise.broke === promise.until ? "desk.promise.broken" : "desk.promise.broken.before", { time: `${formatDay(promise.broke)} ${formatTime(promise.broke)}` });
    return h(
      "li",
      {},
      icon("clock"),
      h(
        "span",
        {},
        h("span", {}, tOr(`promise.${promise.what}`, promise.what), promise.by && promise.by !== "machine" ? h("span", { class: "quiet" }, ` (${promise.by})`) : null),
        h("span", { class: "line" }, h("time-left", { class: "figures", due: promise.until, start: promise.made }), h("span", { class: "quiet" }, until)),
        broke ? h("span", { class: "flag failed" }, icon("warning"), broke) : promise.warned ? h("span", { class: "flag warned" }, icon("warning"), t("desk.promise.warned")) : null,
      ),
      h("button", { class: "small", disabled: !this.online, dataset: { key: `kept-${promise.id}` }, onclick: () => this.#do("kept", { promise: promise.id }) }, t("desk.promise.kept")),
    );
  }

  /** What the company promises everybody, while its time passes or has been missed. */
  #targets() {
    const open = this.view.row.status === "closed" ? [] : this.view.targets.filter((target) => !target.kept);
    if (!open.length) return null;
    return h(
      "section",
      { class: "card targets" },
      h("h2", {}, t("desk.targets")),
      h(
        "ul",
        { class: "plain-list" },
        open.map((target) =>
          h(
            "li",
            {},
            icon("clock"),
            h("span", {}, t(`target.${target.name}`), " ", target.paused ? h("span", { class: "quiet" }, t("desk.target.paused")) : h("time-left", { class: "figures", due: target.until, start: target.since })),
          ),
        ),
      ),
    );
  }

  #closing() {
    const { view } = this;
    if (view.row.status === "closed") {
      return this.#section("closing", h("p", { class: "good" }, icon("check"), t("desk.closed", { outcome: tOr(`outcome.${view.outcome}`, view.outcome) })));
    }
    const choice = h(
      "select",
      { dataset: { key: "outcome" }, "aria-label": t("desk.outcome"), onchange: (event) => (this.chosen = event.target.value) },
      h("option", { value: "" }, t("desk.outcome.choose")),
      [...new Set([...OUTCOMES, view.outcome])]
        .filter(Boolean)
        .map((outcome) => h("option", { value: outcome, selected: outcome === (this.chosen || view.outcome) }, tOr(`outcome.${outcome}`, outcome))),
    );
    const refused = this.refused || [];
    return this.#section(
      "closing",
      h(
        "ul",
        { class: "checks" },
        view.to_close.map(({ rule, ok }) => {
          const done = ok || (rule === "outcome" && Boolean(choice.value) && !refused.includes(rule));
          return h(
            "li",
            { class: done ? "good" : refused.includes(rule) ? "bad" : "quiet" },
            icon(done ? "check" : "cross", t(done ? "desk.check.done" : "desk.check.open")),
            h("span", {}, t(`closing.${rule}`), !done && refused.includes(rule) ? h("span", { class: "todo" }, t(`closing.${rule}.todo`)) : null),
          );
        }),
      ),
      refused.length ? h("p", { class: "bad", role: "alert" }, t("desk.close.refused", { n: refused.length })) : null,
      view.to_close.some(({ rule, ok }) => rule === "answer" && !ok && view.asked)
        ? h("button", { disabled: !this.online, dataset: { key: "answered" }, onclick: () => this.#do("answered", {}) }, t("desk.answered.no"))
        : null,
      choice,
      h("button", { class: "primary", disabled: !this.online, dataset: { key: "close" }, onclick: () => this.#do("close", { outcome: choice.value }) }, t("desk.close")),
    );
  }

  #others() {
    const { others } = this.view;
    if (!others.length) return null;
    return this.#section(
      "others",
      h(
        "ul",
        { class: "plain-list" },
        others.map((row) =>
          h(
            "li",
            {},
            channelIcon(row.channel, channelName(row.channel)),
            h(
              "button",
              { class: "plain link", dataset: { key: `other-${row.id}` }, onclick: () => this.dispatchEvent(new CustomEvent("open-case", { detail: row.id, bubbles: true })) },
              aboutWords(row),
            ),
            h("span", { class: "quiet" }, statusName(row.status)),
          ),
        ),
      ),
    );
  }
}

function factValue(line) {
  if (line.date) return formatMonth(line.date);
  return line.value;
}

customElements.define("desk-context", DeskContext);
