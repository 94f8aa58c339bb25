// Where people write: a reply through a channel of the case, or a note for colleagues.

import { h, icon } from "/assets/dom.js";
import { t } from "/assets/i18n.js";
import { post } from "./api.js";
import { keepDraft, readDraft } from "./drafts.js";
import { channelName, languageName } from "./words.js";

const ANYTHING_ELSE = {
  de: "Kann ich sonst noch etwas für Sie tun?",
  nb: "Er det noe annet jeg kan hjelpe deg med?",
  en: "Is there anything else I can do for you?",
};

export class DeskComposer extends HTMLElement {
  tenant = "";
  online = true;
  #view = null;
  #mode = "reply";
  #busy = false;
  #asks = false;
  #parts = null;

  /** Show the composer for a case; what was being written for it is there again. */
  show(view) {
    const changed = !this.#view || this.#view.row.id !== view.row.id;
    this.#view = view;
    if (changed) {
      this.#mode = "reply";
      this.#asks = false;
      this.#build();
    }
    this.#refresh();
  }

  /** A line above the draft: the case has changed since it was read. */
  warn(words) {
    this.#parts.warning.hidden = !words;
    this.#parts.warning.replaceChildren(...(words ? [icon("warning"), h("span", {}, words)] : []));
  }

  write(mode) {
    this.#setMode(mode);
    this.#parts.text.focus();
  }

  askAnythingElse() {
    this.#setMode("reply");
    this.#toggleAsk(true);
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
      { "aria-label": t("desk.compose.language") },
      ["de", "nb", "en"].map((code) => h("option", { value: code, selected: code === view.row.language }, languageName(code))),
    );
    const text = h("textarea", {
      rows: 4,
      oninput: () => this.#typed(),
      onkeydown: (event) => {
        if (event.key === "Enter" && event.ctrlKey && !event.altKey) this.#send();
      },
    });
    const ask = h("button", { class: "ask", "aria-pressed": "false", onclick: () => this.#toggleAsk(!this.#asks) }, t("desk.compose.else"));
    const send = h("button", { class: "primary", onclick: () => this.#send() });
    const warning = h("p", { class: "compose-warning", role: "alert", hidden: true });
    this.#parts = { modes, channel, language, text, ask, send, warning };
    this.replaceChildren(
      warning,
      h("div", { class: "compose-head" }, modes, h("span", { class: "routes" }, channel, language)),
      text,
      h("div", { class: "compose-foot" }, send, ask, h("span", { class: "hint quiet" }, t("desk.compose.hint"))),
    );
    text.value = readDraft(this.tenant, view.row.id, this.#mode);
  }

  #setMode(mode) {
    if (mode === this.#mode) return;
    this.#typed();
    this.#mode = mode;
    this.#parts.text.value = readDraft(this.tenant, this.#view.row.id, mode);
    this.#refresh();
  }

  #typed() {
    const text = this.#parts.text.value;
    keepDraft(this.tenant, this.#view.row.id, this.#mode, text);
    if (this.#asks && !text.includes(this.#question())) this.#toggleAsk(false);
  }

  #question() {
    return ANYTHING_ELSE[this.#parts.language.value] || ANYTHING_ELSE.en;
  }

  #toggleAsk(on) {
    const { text, ask } = this.#parts;
    this.#asks = on;
    ask.setAttribute("aria-pressed", String(on));
    const question = this.#question();
    if (on && !text.value.includes(question)) text.value = `${text.value.trimEnd()}${text.value.trim() ? "\n\n" : ""}${question}`;
    if (!on && text.value.includes(question)) text.value = text.value.replace(question, "").trimEnd();
    keepDraft(this.tenant, this.#view.row.id, this.#mode, text.value);
  }

  #refresh() {
    const { modes, channel, language, text, ask, send } = this.#parts;
    const replying = this.#mode === "reply";
    for (const button of modes.children) button.setAttribute("aria-pressed", String(button.dataset.mode === this.#mode));
    channel.hidden = language.hidden = ask.hidden = !replying;
    text.setAttribute("aria-label", t(replying ? "desk.compose.text" : "desk.compose.note.text"));
    text.placeholder = t(replying ? "desk.compose.text" : "desk.compose.note.text");
    this.classList.toggle("noting", !replying);
    const unreachable = replying && !this.#view.routes.length;
    send.textContent = this.online ? t(replying ? "desk.compose.send" : "desk.compose.keep") : t("desk.compose.offline");
    send.disabled = !this.online || this.#busy || unreachable;
    if (unreachable) this.warn(t("desk.compose.unreachable"));
  }

  async #send() {
    const view = this.#view;
    const mode = this.#mode;
    const text = this.#parts.text.value.trim();
    if (!text || this.#busy || !this.online) return;
    this.#busy = true;
    this.#refresh();
    try {
      const path = `cases/${encodeURIComponent(view.row.id)}/${mode}`;
      const body =
        mode === "note"
          ? { text }
          : {
              text,
              channel: this.#parts.channel.value,
              language: this.#parts.language.value,
              anything_else: this.#asks,
              seen: view.row.version,
            };
      await post(path, body);
      this.#asks = false;
      this.#parts.ask.setAttribute("aria-pressed", "false");
      keepDraft(this.tenant, view.row.id, mode, "");
      this.#parts.text.value = "";
      this.warn("");
      this.#tell("done", t(mode === "note" ? "desk.said.noted" : "desk.said.sent"));
    } catch (refusal) {
      if (refusal.code === "changed") {
          this.warn(t(refusal.detail.by_customer ? "desk.changed.customer" : "desk.changed.colleague"));
        this.#tell("stale", "");
      } else {
        this.#tell("failed", t(`error.${refusal.code}`));
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
