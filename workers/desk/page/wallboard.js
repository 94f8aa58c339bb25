// The screen on the wall: numbers only, large, grey as soon as they are old.

import { channelIcon, h, icon } from "/assets/dom.js";
import { formatNumber, preferredLanguage, t, useLanguage, writing } from "/assets/i18n.js";
import { now, serverTime, shortDuration } from "/assets/timeleft.js";
import "./screen.js";
import { channelName } from "./words.js";

const ASK_MS = 5_000; // the server reads the numbers anew every 3 s
const PATIENCE_MS = 8_000; // an answer that takes longer is none
const STALE_MS = 15_000; // two answers may fail; old numbers are never shown as those of now

class WallBoard extends HTMLElement {
  #wall = null;
  #heard = 0;
  #refused = "";
  #moment = 0;
  #key = new URLSearchParams(location.search).get("key");
  #screen = document.createElement("screen-address");

  async connectedCallback() {
    await useLanguage(preferredLanguage());
    document.title = t("wall.title");
    this.#draw();
    this.#ask();
    setInterval(() => this.#draw(), 1000);
  }

  async #ask() {
    const key = this.#key;
    try {
      const answer = await fetch(`/desk/api/wallboard${key ? `?key=${encodeURIComponent(key)}` : ""}`, {
        credentials: "same-origin",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const body = await answer.json();
      if (answer.ok) {
        this.#wall = body;
        this.#heard = performance.now();
        this.#refused = "";
        serverTime(body.at);
      } else {
        this.#refused = body.error || "trouble";
        this.#wall = null; // whoever may not see the numbers sees no old ones either
      }
    } catch {
      // no answer: the numbers grow old, and that is shown
    }
    this.#draw();
    setTimeout(() => this.#ask(), ASK_MS);
  }

  #draw() {
    const wall = this.#wall;
    if (this.#refused) {
      this.replaceChildren(h("main", {}, h("p", { class: "state", role: "alert" }, icon("warning"), t(`error.${this.#refused}`))));
      return;
    }
    if (!wall) {
      this.replaceChildren(h("main", {}, h("p", { class: "state" }, t("wall.loading"))));
      return;
    }
    const stale = performance.now() - this.#heard > STALE_MS;
    this.classList.toggle("stale", stale);
    this.#moment = stale ? new Date(wall.at).getTime() : now(); // old waiting times do not go on as if they were known
    const at = new Intl.DateTimeFormat(writing(), { timeStyle: "medium" }).format(new Date(wall.at));
    const words = t(stale ? "wall.stale" : "wall.news", { time: at });
    const main = h(
      "main",
      {},
      h("h1", { class: "unseen" }, t("nav.wallboard")),
      h("div", { class: "tiles" }, this.#waiting(wall), this.#held(wall), this.#ready(wall), this.#promises(wall), this.#satisfaction(wall), this.#praise(wall)),
    );
    const news = h("p", { class: stale ? "bad" : "quiet" }, stale ? icon("warning") : null, words);
    const footer = this.querySelector("footer");
    if (!footer) this.replaceChildren(main, h("footer", {}, news, this.#forPeople()));
    else {
      this.querySelector("main").replaceWith(main);
      footer.firstElementChild.replaceWith(news); // the rest of it stays: somebody may be copying the address
    }
  }

  /** Whoever is signed in finds the way back, and the address for a screen at which nobody signs in. */
  #forPeople() {
    if (this.#key) return null;
    return h("div", { class: "for-people" }, this.#screen, h("a", { href: "/desk" }, t("nav.desk")));
  }

  #tile(name, big, small, extra = null, state = "") {
    return h("section", { class: `tile ${name} ${state}` }, h("h2", {}, t(`wall.${name}`)), h("p", { class: "number figures" }, big), small ? h("p", { class: "small" }, small) : null, extra);
  }

  #since(iso) {
    return shortDuration(this.#moment - new Date(iso).getTime());
  }

  #waiting(wall) {
    const all = wall.waiting.reduce((sum, channel) => sum + channel.count, 0);
    const first = wall.waiting.map((channel) => channel.since).sort()[0];
    const rows = wall.waiting.map((channel) =>
      h(
        "li",
        {},
        channelIcon(channel.channel),
        h("span", {}, channelName(channel.channel)),
        h("span", { class: "figures count" }, String(channel.count)),
        h("span", { class: "figures quiet" }, t("wall.longest", { time: this.#since(channel.since) })),
      ),
    );
    return this.#tile("waiting", String(all), all ? t("wall.longest", { time: this.#since(first) }) : t("wall.channel.none"), rows.length ? h("ul", {}, rows) : null);
  }

  #held(wall) {
    return this.#tile("held", String(wall.held), wall.held ? t("wall.longest", { time: this.#since(wall.held_since) }) : "");
  }

  #ready(wall) {
    return this.#tile("ready", String(wall.ready), "");
  }

  #promises(wall) {
    const { promises, promises_kept: kept } = wall.today;
    if (!promises) return this.#tile("promises", "–", t("wall.promises.none"));
    return this.#tile("promises", `${formatNumber(Math.floor((100 * kept) / promises))}\u00a0%`, t("wall.of", { kept, all: promises }), null, kept < promises ? "warn" : "good");
  }

  #satisfaction(wall) {
    const { satisfaction_mean: mean, satisfaction_answers: n } = wall.today;
    if (!n) return this.#tile("satisfaction", "–", t("wall.satisfaction.none"));
    return this.#tile("satisfaction", formatNumber(mean, 1), t("wall.satisfaction.n", { n }));
  }

  #praise(wall) {
    return this.#tile("praise", String(wall.today.praise), "");
  }
}

customElements.define("wall-board", WallBoard);
