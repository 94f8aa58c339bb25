// What is offered to somebody, and what he is: ready, busy, on a break. Above the list, because it cannot wait.

import { channelIcon, h, icon, replaceInside } from "/assets/dom.js";
import { t } from "/assets/i18n.js";
import { now } from "/assets/timeleft.js";
import { OUTCOMES } from "./context.js";
import { aboutWords, caseNumber, channelName, languageName, nobody } from "./words.js";

const STATES = ["ready", "busy", "break", "away"];

const MOMENT_MS = 1500; // the house ends a break within a second

export class DeskOffers extends HTMLElement {
  mine = null;
  #asking = 0;
  online = true;

  render() {
    if (!this.mine) {
      this.replaceChildren();
      return;
    }
    this.#askAtTheEnd();
    replaceInside(this, this.#rested(), this.#wrapUp(), this.#offers());
  }

  /** A break ends without anything else happening: then it is asked what one is. */
  #askAtTheEnd() {
    clearTimeout(this.#asking);
    const { state, until } = this.mine.presence;
    if (state !== "break" || !until) return;
    const left = Math.max(MOMENT_MS, new Date(until) - now() + MOMENT_MS);
    this.#asking = setTimeout(() => this.dispatchEvent(new CustomEvent("mine", { bubbles: true })), left);
  }

  #rested() {
    const { state, reason } = this.mine.presence;
    if (reason !== "break-over") return null;
    const ready = () => this.dispatchEvent(new CustomEvent("presence", { detail: "ready", bubbles: true }));
    return h(
      "section",
      { class: "offers" },
      h("p", { role: "status" }, icon("clock"), t(state === "busy" ? "desk.rested" : "desk.rested.ready")),
      state === "busy" ? h("p", { class: "offer-answers" }, h("button", { class: "primary", disabled: !this.online, dataset: { key: "rested" }, onclick: ready }, t("desk.rested.yes"))) : null,
    );
  }

  /** The choice of one's own state, for the head of the page. */
  stateChoice(say) {
    const { state } = this.mine.presence;
    const shown = STATES.includes(state) ? STATES : [...STATES, state];
    return h(
      "label",
      { class: `presence ${state}` },
      h("span", { class: "unseen" }, t("desk.presence")),
      h("select", { dataset: { key: "presence" }, disabled: !this.online, onchange: (event) => say(event.target.value) }, shown.map((name) => h("option", { value: name, selected: name === state, disabled: !STATES.includes(name) }, t(`presence.${name}`)))),
    );
  }

  acceptFirst() {
    const offer = this.mine?.offers[0];
    if (offer) this.#answer(offer, "accept");
    return Boolean(offer);
  }

  #answer(offer, answer) {
    this.dispatchEvent(new CustomEvent("offer", { detail: { case: offer.case, answer }, bubbles: true }));
  }

  #offers() {
    const { offers } = this.mine;
    if (!offers.length) return null;
    return h(
      "section",
      { class: "offers", "aria-label": t("desk.offer.list") },
      h(
        "ul",
        {},
        offers.map((offer) =>
          h(
            "li",
            {},
            h(
              "p",
              { class: "row-head" },
              channelIcon(offer.channel, channelName(offer.channel)),
              h("span", { class: "row-name" }, t("desk.offer"), " ", offer.name || t(nobody(offer))),
              h("time-left", { class: "figures", due: offer.expires }),
            ),
            h("p", { class: "row-about" }, h("span", { class: "row-text" }, aboutWords(offer)), h("span", { class: "tag", title: languageName(offer.language) }, offer.language || "–")),
            h(
              "p",
              { class: "offer-answers" },
              h("button", { class: "primary", disabled: !this.online, dataset: { key: `accept-${offer.case}` }, onclick: () => this.#answer(offer, "accept") }, t("desk.offer.accept")),
              h("button", { disabled: !this.online, dataset: { key: `decline-${offer.case}` }, onclick: () => this.#answer(offer, "decline") }, t("desk.offer.decline")),
            ),
          ),
        ),
      ),
    );
  }

  #wrapUp() {
    const open = this.mine.presence.wrap_up;
    if (!open) return null;
    const choice = h(
      "select",
      { "aria-label": t("desk.outcome"), dataset: { key: "wrap-outcome" }, onchange: () => (done.disabled = !choice.value || !this.online) },
      h("option", { value: "" }, t("desk.outcome.choose")),
      OUTCOMES.map((outcome) => h("option", { value: outcome }, t(`outcome.${outcome}`))),
    );
    const done = h(
      "button",
      { class: "primary", disabled: true, dataset: { key: "wrap-done" }, onclick: () => this.dispatchEvent(new CustomEvent("wrap-up", { detail: choice.value, bubbles: true })) },
      t("desk.wrapup.done"),
    );
    return h("section", { class: "offers" }, h("p", {}, icon("note"), t("desk.wrapup", { number: caseNumber(open.number) })), h("p", { class: "offer-answers" }, choice, done));
  }
}

customElements.define("desk-offers", DeskOffers);
