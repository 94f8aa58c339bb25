// The supervisor's overview: live cases by risk with the reasons in words, and what can be done about each.

import { channelIcon, h, icon, replaceInside } from "/assets/dom.js";
import { preferredLanguage, t, useLanguage } from "/assets/i18n.js";
import { LiveFeed, offlineBar } from "/assets/live.js";
import { longTime, serverTime } from "/assets/timeleft.js";
import { get, post } from "./api.js";
import { pageHead } from "./pagehead.js";
import "./screen.js";
import { soon } from "./soon.js";
import { aboutWords, channelName, colleagueName, departmentName, languageName, learnWords, nobody, reasonName, refusalWords, statusName } from "./words.js";

const WEIGH_AGAIN_MS = 10_000; // time passes without an event too
const HEAVY = 50;
const TIMED = new Set(["late", "near"]); // these say the time themselves
const GRAVE = new Set(["emergency", "abuse", "late"]);

class DeskOverview extends HTMLElement {
  #me = null;
  #rows = null;
  #unseen = 0;
  #people = [];
  #failed = "";
  #online = true;
  #advising = "";
  #soon = soon(() => this.#load());
  #parts = {};
  #screen = document.createElement("screen-address");

  async connectedCallback() {
    await useLanguage(preferredLanguage());
    try {
      this.#me = await get("me");
    } catch (refusal) {
      if (refusal.status === 401) location.assign("/desk/login");
      else this.replaceChildren(h("p", { class: "state" }, icon("warning"), t("error.trouble")));
      return;
    }
    learnWords(this.#me);
    this.#build();
    await this.#load();
    if (this.#failed === "role") return;
    const feed = new LiveFeed("/desk/api/feed", ["case"]);
    offlineBar(feed, () => t("live.lost"));
    feed.addEventListener("open", () => this.#connected(true));
    feed.addEventListener("lost", () => this.#connected(false));
    feed.addEventListener("case", () => this.#soon());
    feed.start();
    setInterval(() => this.#online && this.#load(), WEIGH_AGAIN_MS);
  }

  #build() {
    const list = h("section", { "aria-label": t("live.list") });
    const people = h("section", { "aria-label": t("live.people") });
    const said = h("p", { class: "said", role: "status" });
    this.#parts = { list, people, said };
    const speak = async (code) => {
      await useLanguage(code);
      this.#build();
      this.#screen.render();
      this.#draw();
    };
    document.title = t("live.title");
    this.replaceChildren(pageHead(this.#me, "live", speak), h("main", { class: "overview" }, list, people), said);
  }

  #connected(online) {
    this.#online = online;
    if (online) this.#load();
    else this.#draw();
  }

  async #load() {
    try {
      const [live, colleagues] = await Promise.all([get("supervisor"), get("colleagues")]);
      serverTime(live.server_time);
      this.#rows = live.rows;
      this.#unseen = live.unseen.reduce((sum, { letters }) => sum + letters, 0);
      this.#people = colleagues.rows;
      this.#failed = "";
    } catch (refusal) {
      if (refusal.status === 401) location.assign("/desk/login");
      this.#failed = refusal.code;
    }
    this.#draw();
  }

  #draw() {
    const { list, people } = this.#parts;
    if (this.#advising && list.querySelector(".advise input:focus")) return; // nobody's half sentence is taken away
    const technical = this.#unseen ? h("p", { class: "state", role: "alert" }, icon("warning"), t("live.unseen", { n: this.#unseen })) : null;
    replaceInside(list, technical, h("h2", {}, t("live.list")), this.#cases());
    replaceInside(people, this.#failed ? null : [h("h2", {}, t("live.people")), this.#colleagues(), h("h2", {}, t("screen")), this.#screen]);
  }

  #cases() {
    if (this.#failed && (this.#failed === "role" || !this.#rows)) return h("p", { class: "state", role: "alert" }, icon("warning"), t(`error.${this.#failed}`));
    if (!this.#rows) return h("p", { class: "state quiet", "aria-busy": "true" }, t("desk.loading"));
    if (!this.#rows.length) return h("p", { class: "state quiet" }, icon("check"), t("live.empty"));
    return h("ol", {}, this.#rows.map((row) => this.#case(row)));
  }

  #case(row) {
    const state = row.score >= HEAVY ? "grave" : row.score >= HEAVY / 2 ? "serious" : "";
    const mine = row.assignee === this.#me.person;
    return h(
      "li",
      { class: `risk ${state}` },
      h("span", { class: "weight" }),
      h(
        "div",
        {},
        h("h3", {}, channelIcon(row.channel, channelName(row.channel)), h("a", { href: `/desk#${encodeURIComponent(row.id)}`, dataset: { key: `open-${row.id}` } }, row.name || t(nobody(row))), h("span", { class: "quiet" }, aboutWords(row)), row.language ? h("span", { class: "tag", title: languageName(row.language) }, row.language) : null),
        h(
          "p",
          { class: "risk-facts" },
          row.due && !row.reasons.some(({ word }) => TIMED.has(word)) ? h("time-left", { class: "figures", due: row.due, start: row.created }) : null,
          h("span", { class: "quiet" }, departmentName(row.department || "desk")),
          h("span", { class: "quiet" }, statusName(row.status)),
          h("span", { class: "quiet" }, row.assignee ? t("desk.with", { name: colleagueName(row.assignee) }) : t("desk.with.nobody")),
          row.joined.length ? h("span", { class: "quiet" }, t("live.joined", { names: row.joined.map(colleagueName).join(", ") })) : null,
        ),
        h("ul", { class: "why", "aria-label": t("live.why") }, row.reasons.map((reason) => h("li", { class: GRAVE.has(reason.word) ? "bad" : reason.points >= 20 ? "warn" : "" }, riskWords(reason, row)))),
      ),
      h(
        "div",
        { class: "risk-acts" },
        mine || row.joined.includes(this.#me.person) ? null : this.#button(row, "step-in"),
        mine ? null : this.#button(row, "take-over"),
        row.assignee && !mine
          ? h("button", { class: "small", "aria-expanded": String(this.#advising === row.id), disabled: !this.#online, dataset: { key: `advise-${row.id}` }, onclick: () => this.#advise(row) }, t("live.advise", { name: colleagueName(row.assignee) }))
          : null,
      ),
      this.#advising === row.id ? this.#note(row) : null,
    );
  }

  #button(row, action) {
    return h("button", { class: "small", disabled: !this.#online, dataset: { key: `${action}-${row.id}` }, onclick: () => this.#act(row, action) }, t(`live.${action}`));
  }

  #advise(row) {
    this.#advising = this.#advising === row.id ? "" : row.id;
    this.#draw();
    this.querySelector(".advise input")?.focus();
  }

  #note(row) {
    const words = h("input", { "aria-label": t("live.advise", { name: colleagueName(row.assignee) }), maxlength: "4000", required: true, dataset: { key: "advise" } });
    return h(
      "form",
      {
        class: "advise",
        onsubmit: async (event) => {
          event.preventDefault();
          words.blur();
          if (await this.#act(row, "advise", { text: words.value })) this.#advising = "";
          this.#draw();
        },
      },
      words,
      h("button", { class: "primary" }, t("live.advise.send")),
    );
  }

  #colleagues() {
    if (!this.#people.length) return h("p", { class: "quiet" }, t("live.people.none"));
    return h(
      "ul",
      { class: "people-list" },
      this.#people.map((person) =>
        h(
          "li",
          {},
          icon("person"),
          h(
            "span",
            { class: "colleague" },
            h("span", {}, person.shown),
            h("span", {}, h("span", { class: person.state === "ready" ? "good" : "quiet" }, t(`presence.${person.state}`)), " ", h("time-since", { class: "figures quiet", from: person.since })),
          ),
          person.state === "break" || person.state === "away"
            ? null
            : h("button", { class: "small", disabled: !this.#online, dataset: { key: `break-${person.name}` }, onclick: () => this.#rest(person.name) }, t("live.people.break")),
        ),
      ),
    );
  }

  async #rest(name) {
    if (await this.#send(`colleagues/${encodeURIComponent(name)}/break`, {})) this.#say(t("live.people.break.said", { name: colleagueName(name) }));
    await this.#load();
  }

  async #act(row, action, body = {}) {
    const done = await this.#send(`cases/${encodeURIComponent(row.id)}/${action}`, body);
    if (done) this.#say(t(`live.said.${action}`));
    await this.#load();
    return done;
  }

  async #send(path, body) {
    try {
      await post(path, body);
      return true;
    } catch (refusal) {
      this.#say(refusalWords(refusal), true);
      return false;
    }
  }

  #say(words, bad = false) {
    const { said } = this.#parts;
    said.className = bad ? "said bad" : "said";
    said.textContent = words;
  }
}

const PER = { late: 60_000, near: 60_000, hold: 1000 }; // what a unit of the value is, in ms

/** A reason as a sentence; who called the supervisor for what is more than that somebody did. */
function riskWords({ word, value }, row) {
  if (word === "supervisor") return t("risk.supervisor.why", { reason: reasonName(row.supervisor) });
  return t(`risk.${word}`, { value: PER[word] ? longTime(value * PER[word]) : value });
}

customElements.define("desk-overview", DeskOverview);
