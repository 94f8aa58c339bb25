// The conversation as it is shown: what the server confirmed in its order, and below it what is still on its way.

import { h, icon } from "/assets/dom.js";
import { formatTime, language, t } from "/assets/i18n.js";

const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)]/g;
const RATINGS = [1, 2, 3, 4, 5];
const NEAR_END_PX = 80;

export class Transcript {
  // Read on request, not announced: new messages are announced by a region of their own.
  element = h("div", { class: "transcript", role: "log", "aria-live": "off", tabindex: "0" });
  #actions;
  #events = new Map(); // by id, in the order of the conversation
  #mine = new Map(); // messages that no event shows yet, by client message id
  #nodes = new Map();
  #head = null;
  #replaying = true;

  constructor(actions) {
    this.#actions = actions;
  }

  /** The line is open; what comes up to `head` is history, unless we were here before. */
  welcome(head = "") {
    if (this.#head === null) {
      this.#head = head;
      this.#replaying = head !== "";
    }
  }

  /** Show an event; whether it is news. */
  add(event) {
    if (this.#events.has(event.id)) return false;
    this.#events.set(event.id, event);
    const news = !this.#replaying;
    if (event.cursor === this.#head) this.#replaying = false;
    const node = this.#draw(event.id, this.#eventNode(event));
    if (event.data.cid) this.removeMine(event.data.cid);
    const firstWaiting = this.element.querySelector("[data-waiting]");
    const own = event.data.from === "visitor";
    this.#keepingEnd(() => this.element.insertBefore(node, firstWaiting), own);
    // A long answer is read from its beginning.
    if (news && !own) this.element.scrollTop = Math.min(this.element.scrollTop, node.offsetTop - this.element.offsetTop);
    return news;
  }

  addMine(message) {
    this.#mine.set(message.cid, message);
    this.#keepingEnd(() => this.element.append(this.#draw(message.cid, this.#mineNode(message))), true);
  }

  /** A message was tried again, perhaps under a new id; the server may know the old one already. */
  replaceMine(cid, message) {
    if (message && this.#shown(message.cid)) return this.refreshMine(cid);
    this.removeMine(cid);
    if (message) this.addMine(message);
  }

  removeMine(cid) {
    this.#mine.delete(cid);
    this.#nodes.get(cid)?.remove();
    this.#nodes.delete(cid);
  }

  /** Show the state of one of the visitor's messages again. */
  refreshMine(cid) {
    const shown = this.#shown(cid);
    const key = shown?.id ?? cid;
    const old = this.#nodes.get(key);
    if (!old) return;
    const node = shown ? this.#eventNode(shown) : this.#mineNode(this.#mine.get(cid));
    this.#keepingEnd(() => old.replaceWith(this.#draw(key, node)), false);
  }

  textOf(cid) {
    return this.#mine.get(cid)?.text ?? this.#shown(cid)?.data.text ?? "";
  }

  clear() {
    this.#events.clear();
    this.#head = null;
    this.#replaying = true;
    this.render();
  }

  /** Everything again, in the language of now. */
  render() {
    this.#nodes.clear();
    const events = [...this.#events.values()].map((event) => this.#draw(event.id, this.#eventNode(event)));
    const waiting = [...this.#mine.values()].map((message) => this.#draw(message.cid, this.#mineNode(message)));
    this.element.replaceChildren(...events, ...waiting);
    this.element.scrollTop = this.element.scrollHeight;
  }

  authorOf(event) {
    if (event.data.from === "visitor") return t("you");
    return t(event.data.from === "person" ? "a.person" : "machine");
  }

  #shown(cid) {
    return [...this.#events.values()].find((event) => event.data.cid === cid);
  }

  #draw(key, node) {
    this.#nodes.set(key, node);
    return node;
  }

  #eventNode(event) {
    const { data } = event;
    if (data.from === "visitor") {
      const waiting = this.#actions.outbox.get(data.cid);
      return this.#visitorNode(data.text, data.lang, data.at, waiting);
    }
    return h(
      "div",
      { class: `message company ${event.kind}`, dataset: { id: event.id } },
      h(
        "p",
        { class: "by quiet" },
        icon(data.from === "person" ? "person" : "machine"),
        h("span", {}, this.authorOf(event)),
        h("time", { datetime: data.at }, formatTime(data.at)),
      ),
      h("div", { class: "text", lang: data.lang || language() }, linked(data.text)),
      event.kind === "survey" ? this.#rating() : null,
      event.kind === "closed" ? h("p", { class: "ended quiet" }, t("closed")) : null,
    );
  }

  #mineNode(message) {
    const node = this.#visitorNode(message.text, message.lang, new Date(message.at).toISOString(), message);
    node.dataset.waiting = "";
    return node;
  }

  #visitorNode(text, lang, at, waiting) {
    const failed = waiting?.failed;
    const state = failed ? t(`failed.${failed}`) : t(waiting ? "pending" : "sent");
    return h(
      "div",
      { class: `message visitor ${failed ? "failed" : waiting ? "pending" : "sent"}` },
      h("p", { class: "unseen" }, t("you")),
      h("div", { class: "text", lang: lang || language() }, text),
      h(
        "p",
        { class: "by quiet" },
        icon(failed ? "warning" : waiting ? "clock" : "check"),
        h("span", { class: "state" }, state),
        h("time", { datetime: at }, formatTime(at)),
      ),
      failed ? this.#repair(waiting) : null,
    );
  }

  #repair(message) {
    const { retry, discard } = this.#actions;
    return h(
      "p",
      { class: "repair" },
      h("button", { type: "button", class: "retry", onclick: () => retry(message.cid) }, t("retry")),
      // Only what was finally refused can be taken back: anything else may still have arrived.
      message.final && h("button", { type: "button", class: "change", onclick: () => discard(message.cid) }, t("change")),
    );
  }

  #rating() {
    const group = h("div", { class: "rating", role: "group", "aria-label": t("rating") });
    const rate = (value) => {
      for (const button of group.children) button.disabled = true;
      this.#actions.answer(String(value));
    };
    const label = (value) => t("rating.of", { value });
    group.append(
      ...RATINGS.map((value) =>
        h("button", { type: "button", "aria-label": label(value), onclick: () => rate(value) }, String(value)),
      ),
    );
    return group;
  }

  /** Change what is shown and stay at the end if the reader was there, or if it is the visitor's own doing. */
  #keepingEnd(change, own) {
    const list = this.element;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX;
    change();
    if (atEnd || own) list.scrollTop = list.scrollHeight;
  }
}

/** Text with its addresses as links: text nodes and links only, never markup. */
function linked(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(end, match.index), h("a", { href: match[0], target: "_blank", rel: "noopener noreferrer" }, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}
