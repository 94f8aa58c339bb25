// Where people write: a reply through a channel of the case, or a note for colleagues.

import { h, icon } from "/assets/dom.js";
import { formatTime, t } from "/assets/i18n.js";
import { post } from "./api.js";
import { CaseDrafts } from "./drafts.js";
import { channelName, languageName, refusalWords } from "./words.js";

const NEWS = new Set(["received", "reply-planned", "acted", "reopened", "closed"]); // as in actions.py

const ANYTHING_ELSE = {
  de: "Kann ich sonst noch etwas für Sie tun?",
  nb: "Er det noe annet jeg kan hjelpe deg med?",
  en: "Is there anything else I can do for you?",
};

export class DeskComposer extends HTMLElement {
  tenant = "";
  person = "";
  online = true;
  #view = null;
  #mode = "reply";
  #busy = false;
  #parts = null;
  #drafts = null;
  #seen = 0; // the version that lay before the writer's eyes when he began, or when he said that he has read the rest

  /** Show the composer for a case; what was being written for it is there again. */
  show(view) {
    const changed = !this.#view || this.#view.row.id !== view.row.id;
    this.#view = view;
    if (changed) {
      this.#mode = "reply";
      this.#seen = view.row.version;
      this.#drafts = new CaseDrafts(this.tenant, view, (state) => this.#saySafe(state));
      this.#build();
    }
    if (!this.#parts.text.value.trim()) this.#seen = view.row.version; // nothing is written: whatever is shown is seen
    const own = view.events.findLast((event) => event.kind === "reply-planned" && event.actor === this.person);
    if (own) this.#seen = Math.max(this.#seen, own.seq); // what somebody sent himself was sent knowingly
    this.#refresh();
    this.#showNews();
  }

  /** What has happened since somebody began to write stands above the draft, until he says that he has read it. */
  #showNews() {
    const { warning } = this.#parts;
    const news = this.#news();
    warning.hidden = !news.length;
    if (!news.length) {
      warning.replaceChildren();
      return;
    }
    const byCustomer = news.some((event) => event.kind === "received");
    warning.replaceChildren(
      h("p", { role: "alert" }, icon("warning"), h("span", {}, t(byCustomer ? "desk.changed.customer" : "desk.changed.colleague"))),
      h("ul", {}, news.filter((event) => event.text).map((event) => h("li", {}, h("time", { datetime: event.at, class: "figures" }, formatTime(event.at)), h("q", {}, event.text)))),
      h(
        "button",
        {
          dataset: { key: "read" },
          onclick: () => {
            this.#seen = this.#view.row.version;
            this.#showNews();
            this.#refresh();
            this.#parts.text.focus();
          },
        },
        t("desk.changed.read"),
      ),
    );
  }

  #news() {
    if (this.#mode !== "reply" || !this.#parts.text.value.trim()) return [];
    return this.#view.events.filter((event) => event.seq > this.#seen && NEWS.has(event.kind));
  }

  #saySafe(state) {
    if (this.#parts) this.#parts.safe.textContent = state ? t(`desk.draft.${state}`) : "";
  }

  write(mode) {
    this.#setMode(mode);
    this.#parts.text.focus();
  }

  askAnythingElse() {
    this.#setMode("reply");
    this.#ask(true);
    this.#parts.text.focus();
  }

  setOnline(online) {
    this.online = online;
    if (this.#parts) this.#refresh();
  }

  relabel() {
    if (!this.#view) return;
    this.#build();
    this.#refresh();
  }

  #build() {
    const view = this.#view;
    const modes = h(
      "div",
      { class: "modes", role: "group", "aria-label": t("desk.compose.modes") },
      ["reply", "note"].map((mode) =>
        h("button", { class: "plain mode", dataset: { mode }, onclick: () => this.write(mode) }, icon(mode === "note" ? "note" : "bubble"), t(`desk.compose.${mode}`)),
      ),
    );
    const channel = h(
      "select",
      { "aria-label": t("desk.compose.channel") },
      view.routes.map((route) =>
        h("option", { value: route.channel, selected: route.channel === view.row.channel }, t("desk.compose.by", { channel: channelName(route.channel) })),
      ),
    );
    const language = h(
      "select",
      { "aria-label": t("desk.compose.language"), onchange: () => this.#asked() && this.#ask(true) },
      ["de", "nb", "en"].map((code) => h("option", { value: code, selected: code === view.row.language }, languageName(code))),
    );
    const text = h("textarea", {
      rows: 4,
      oninput: () => this.#typed(),
      onkeydown: (event) => {
        if (event.key === "Enter" && event.ctrlKey && !event.altKey) this.#send();
      },
    });
    const ask = h("button", { class: "ask", onclick: () => this.#ask(!this.#asked()) }, t("desk.compose.else"));
    const send = h("button", { class: "primary", onclick: () => this.#send() });
    const warning = h("div", { class: "compose-warning", hidden: true });
    const unreachable = h("p", { class: "bad", hidden: true }, t("desk.compose.unreachable"));
    const safe = h("span", { class: "hint quiet", role: "status" });
    this.#parts = { modes, channel, language, text, ask, send, warning, unreachable, safe };
    this.replaceChildren(
      warning,
      unreachable,
      h("div", { class: "compose-head" }, modes, h("span", { class: "routes" }, channel, language)),
      text,
      h("div", { class: "compose-foot" }, send, ask, safe, h("span", { class: "hint quiet" }, t("desk.compose.hint"))),
    );
    text.value = this.#drafts.read(this.#mode);
    const restored = view.drafts[this.#mode];
    if (restored && restored.text === text.value) safe.textContent = t("desk.draft.restored", { time: formatTime(restored.at) });
  }

  #setMode(mode) {
    if (mode === this.#mode) return;
    this.#keep();
    this.#mode = mode;
    this.#parts.text.value = this.#drafts.read(mode);
    this.#saySafe("");
    this.#refresh();
    this.#showNews();
  }

  #keep() {
    this.#drafts.keep(this.#mode, this.#parts.text.value);
  }

  #typed() {
    const text = this.#parts.text.value;
    this.#keep();
    this.dispatchEvent(new CustomEvent("writes", { detail: Boolean(text), bubbles: true }));
    this.#showAsked();
  }

  /** The question whether there is anything else, as it stands in the draft; "" while it does not. */
  #asked() {
    const text = this.#parts.text.value;
    return Object.values(ANYTHING_ELSE).find((question) => text.includes(question)) || "";
  }

  /** Put the question at the end of the draft, in the language of the reply, or take it out. */
  #ask(on) {
    const { text, language } = this.#parts;
    const rest = text.value.replace(this.#asked(), "").trimEnd();
    text.value = on ? `${rest}${rest && "\n\n"}${ANYTHING_ELSE[language.value] || ANYTHING_ELSE.en}` : rest;
    this.#keep();
    this.#showAsked();
  }

  #showAsked() {
    this.#parts.ask.setAttribute("aria-pressed", String(Boolean(this.#asked())));
  }

  #refresh() {
    const { modes, channel, language, text, ask, send } = this.#parts;
    const replying = this.#mode === "reply";
    for (const button of modes.children) button.setAttribute("aria-pressed", String(button.dataset.mode === this.#mode));
    channel.hidden = language.hidden = ask.hidden = !replying;
    this.#showAsked();
    text.setAttribute("aria-label", t(replying ? "desk.compose.text" : "desk.compose.note.text"));
    text.placeholder = t(replying ? "desk.compose.text" : "desk.compose.note.text");
    this.classList.toggle("noting", !replying);
    const unreachable = replying && !this.#view.routes.length;
    const words = replying ? "desk.compose.send" : "desk.compose.keep";
    send.textContent = this.online ? t(this.#news().length ? "desk.compose.send.knowing" : words) : t("desk.compose.offline");
    send.disabled = !this.online || this.#busy || unreachable;
    this.#parts.unreachable.hidden = !unreachable;
  }

  async #send() {
    const view = this.#view;
    const mode = this.#mode;
    const text = this.#parts.text.value.trim();
    if (!text || this.#busy || !this.online) return;
    this.#busy = true;
    // News that stand above the draft are known: whoever sends then means it.
    if (this.#news().length) this.#seen = view.row.version;
    this.#refresh();
    await this.#drafts.settle(mode);
    try {
      const path = `cases/${encodeURIComponent(view.row.id)}/${mode}`;
      const body =
        mode === "note"
          ? { text }
          : {
              text,
              channel: this.#parts.channel.value,
              language: this.#parts.language.value,
              anything_else: Boolean(this.#asked()),
              seen: this.#seen,
            };
      await post(path, body);
      this.#drafts.sent(mode);
      this.#parts.text.value = "";
      this.#showNews();
      this.dispatchEvent(new CustomEvent("writes", { detail: false, bubbles: true }));
      this.#tell("done", t(mode === "note" ? "desk.said.noted" : "desk.said.sent"));
    } catch (refusal) {
      if (refusal.code === "changed") {
        // The page had not heard of it yet: it stands above the draft from now on.
        const known = new Set(view.events.map((event) => event.seq));
        view.events.push(...refusal.detail.events.filter((event) => !known.has(event.seq)));
        view.row.version = Math.max(...view.events.map((event) => event.seq));
        this.#showNews();
        this.#tell("stale", "");
      } else {
        this.#tell("failed", refusalWords(refusal));
      }
    } finally {
      this.#busy = false;
      this.#refresh();
    }
  }

  #tell(kind, words) {
    this.dispatchEvent(new CustomEvent("written", { detail: { kind, words }, bubbles: true }));
  }
}

customElements.define("desk-composer", DeskComposer);
