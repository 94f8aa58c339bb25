// The desk: three columns, one feed, one keyboard.

import { channelIcon, h, icon, replaceInside } from "/assets/dom.js";
import { language, preferredLanguage, rememberLanguage, t, useLanguage } from "/assets/i18n.js";
import { LiveFeed, offlineBar } from "/assets/live.js";
import { serverTime } from "/assets/timeleft.js";
import { get, post } from "./api.js";
import "./composer.js";
import "./context.js";
import { Here } from "./here.js";
import { hereWords } from "./herewords.js";
import { holdControls, waitingWords } from "./hold.js";
import { keyMap, keysAct, letKeysAct, listenToKeys } from "./keys.js";
import { menu, openMenu } from "./menu.js";
import "./offers.js";
import { pageLinks, signOut } from "./pagehead.js";
import "./queue.js";
import { soon } from "./soon.js";
import { timeline } from "./timeline.js";
import { aboutWords, caseNumber, channelName, colleagueName, languageName, learnWords, nobody, refusalWords, statusName } from "./words.js";

const NEAR_END_PX = 40; // two lines: whoever is so near to the end of a timeline reads its end

class DeskApp extends HTMLElement {
  #me = null;
  #view = null;
  #feed = null;
  #parts = {};
  #stale = new Set();
  #refresh = soon(() => this.#fetchStale());
  #help = false;
  #wanted = ""; // the case that somebody has gone to
  #asked = 0; // requests are numbered: an answer that comes after a later one's is not shown
  #listed = 0;
  #shown = 0;
  #atEnd = true;
  #people = [];
  #here = new Here((id) => this.#othersCame(id));

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
    serverTime(this.#me.server_time);
    this.#build();
    this.#listen();
    await Promise.all([this.#loadQueue(), this.#loadMine()]);
    const wanted = location.hash.slice(1);
    if (wanted) await this.#open(decodeURIComponent(wanted), false);
  }

  #build() {
    const queue = document.createElement("desk-queue");
    const composer = document.createElement("desk-composer");
    const context = document.createElement("desk-context");
    const offers = document.createElement("desk-offers");
    queue.me = this.#me;
    queue.here = this.#here;
    composer.person = this.#me.person;
    context.limits = this.#me.goodwill;
    queue.setAttribute("aria-label", t("desk.queue"));
    queue.setAttribute("role", "navigation");
    context.setAttribute("role", "region");
    context.setAttribute("aria-label", t("desk.context"));
    composer.tenant = this.#me.tenant;
    const head = h("header", { class: "case-head" });
    const list = h("ol", { class: "timeline", tabindex: "0", "aria-label": t("desk.timeline") });
    const main = h("section", { class: "case", "aria-label": t("desk.pane.case") }, head, list, composer);
    const said = h("p", { class: "said", role: "status" });
    const help = h("section", { class: "help", hidden: true, tabindex: "-1" });
    const live = h("span", { class: "live" });
    this.#parts = { queue, composer, context, head, list, main, offers, said, help, live, top: h("header", { class: "top" }) };
    const notice = this.#me.notice ? h("p", { class: "notice" }) : null;
    this.#parts.notice = notice;
    this.#top();
    this.replaceChildren(this.#parts.top, ...(notice ? [notice] : []), help, h("main", { class: "columns" }, h("div", { class: "left" }, offers, queue), main, context), said);
    this.dataset.pane = "queue";
    queue.render();
    this.#showCase();
  }

  #top() {
    const { top, live } = this.#parts;
    const parts = [
      h("h1", {}, "contactbus ", h("span", { class: "quiet" }, this.#me.company[language()] || this.#me.tenant)),
      h(
        "nav",
        { class: "panes", "aria-label": t("desk.panes") },
        ["queue", "case", "context"].map((pane) => h("button", { class: "plain", "aria-pressed": String((this.dataset.pane || "queue") === pane), dataset: { pane }, onclick: () => this.#pane(pane) }, t(`desk.pane.${pane}`))),
      ),
      pageLinks(this.#me, "desk"),
      this.#parts.offers.mine ? this.#parts.offers.stateChoice((state) => this.#sayState(state)) : null,
      live,
      h(
        "label",
        {},
        h("span", { class: "unseen" }, t("language")),
        h("select", { onchange: (event) => this.#speak(event.target.value) }, ["de", "nb", "en"].map((code) => h("option", { value: code, selected: code === language() }, languageName(code)))),
      ),
      h("span", { class: "who" }, icon("person"), colleagueName(this.#me.person)),
      h("button", { class: "plain", "aria-expanded": String(this.#help), "aria-label": t("desk.help"), onclick: () => this.#showHelp(!this.#help) }, "?"),
      h("button", { class: "plain sign-out", onclick: signOut }, t("desk.signout")),
    ];
    replaceInside(top, parts);
    this.#showLive();
    this.#parts.notice?.replaceChildren(icon("warning"), h("span", {}, t(this.#me.notice)));
    document.title = t("desk.title");
  }

  #showLive() {
    const on = this.#feed?.online ?? false;
    const { live } = this.#parts;
    live.className = on ? "live good" : "live bad";
    const words = t(on ? "live.on" : "live.off");
    live.title = words;
    live.replaceChildren(icon(on ? "check" : "warning"), h("span", {}, words));
  }

  #pane(pane) {
    this.dataset.pane = pane;
    for (const button of this.#parts.top.querySelectorAll("[data-pane]")) button.setAttribute("aria-pressed", String(button.dataset.pane === pane));
  }

  async #speak(code) {
    rememberLanguage(code);
    await useLanguage(code);
    const { queue, composer, context, list, main } = this.#parts;
    queue.setAttribute("aria-label", t("desk.queue"));
    main.setAttribute("aria-label", t("desk.pane.case"));
    context.setAttribute("aria-label", t("desk.context"));
    list.setAttribute("aria-label", t("desk.timeline"));
    this.#top();
    this.#parts.offers.render();
    queue.render();
    composer.relabel();
    context.relabel();
    this.#showCase();
    if (this.#help) this.#showHelp(true);
  }

  #listen() {
    // Whoever reads the end of a case goes on reading it, whatever grows above or below.
    const { list } = this.#parts;
    list.addEventListener("scroll", () => (this.#atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX));
    new ResizeObserver(() => this.#atEnd && (list.scrollTop = list.scrollHeight)).observe(list);
    this.addEventListener("open-case", (event) => this.#open(event.detail));
    this.addEventListener("view", (event) => this.#setView(event.detail));
    this.addEventListener("act", (event) => this.#act(event.detail.action, event.detail.body, event.detail));
    this.addEventListener("said", (event) => {
      this.#say(event.detail);
      this.#changed(this.#view.row.id);
    });
    this.addEventListener("written", (event) => {
      if (event.detail.words) this.#say(event.detail.words, event.detail.kind === "failed");
      this.#changed(this.#view.row.id);
    });
    this.addEventListener("writes", (event) => (event.detail ? this.#here.writes() : this.#here.rests()));
    this.addEventListener("offer", (event) => this.#answerOffer(event.detail));
    this.addEventListener("mine", () => this.#loadMine());
    this.addEventListener("presence", (event) => this.#sayState(event.detail));
    this.addEventListener("wrap-up", (event) => this.#wrapUp(event.detail));
    const feed = (this.#feed = new LiveFeed(`/desk/api/feed?page=${this.#here.page}`, ["case", "here"]));
    offlineBar(feed, () => t("live.lost"));
    feed.addEventListener("open", () => {
      this.#online(true);
      this.#here.again();
      this.#changed(this.#view?.row.id);
    });
    feed.addEventListener("lost", () => this.#online(false));
    feed.addEventListener("here", (event) => this.#here.heard(event.detail));
    feed.addEventListener("case", (event) => this.#changed(event.detail.case));
    feed.start();
    listenToKeys({
      j: () => this.#parts.queue.step(1),
      k: () => this.#parts.queue.step(-1),
      r: () => this.#view && this.#parts.composer.write("reply"),
      n: () => this.#view && this.#parts.composer.write("note"),
      a: () => this.#view && this.#parts.composer.askAnythingElse(),
      t: () => this.#view && this.#act("take"),
      s: () => this.#parts.offers.acceptFirst(),
      u: () => this.#foldAll(),
      o: () => this.#beside((context) => context.focusOutcome()),
      y: () => this.#view && this.#parts.context.noteNothingElse(),
      p: () => this.#view && this.#act("praise"),
      g: () => this.#parts.top.querySelector(".pages a:not([aria-current])")?.focus(),
      h: () => openMenu(this.#parts.head, "hold"),
      e: () => openMenu(this.#parts.head, "escalate"),
      c: () => this.#beside((context) => context.focusCall()),
      i: () => this.#beside((context) => context.focusIdentity()),
      m: () => this.#beside((context) => context.focusGoodwill()),
      v: () => this.#beside((context) => context.focusPromise()),
      x: () => this.#beside((context) => context.focusClose()),
      q: () => {
        this.#pane("queue");
        this.#parts.queue.focusOpen();
      },
      "?": () => this.#showHelp(!this.#help),
      Escape: () => this.#back(),
    });
  }

  /** To something in the right column, which is a pane of its own on a narrow screen. */
  #beside(go) {
    if (!this.#view) return;
    this.#pane("context");
    go(this.#parts.context);
  }

  #online(online) {
    const { composer, context, offers } = this.#parts;
    composer.setOnline(online);
    context.online = offers.online = online;
    offers.render();
    context.render();
    this.#showLive();
  }

  #back() {
    if (this.#help) this.#showHelp(false);
    else if (this.#parts.composer.contains(document.activeElement) || this.#parts.context.contains(document.activeElement)) {
      this.#pane("case");
      this.#parts.list.focus();
    } else {
      this.#pane("queue");
      this.#parts.queue.focusOpen();
    }
  }

  #changed(id) {
    this.#stale.add(id);
    this.#refresh();
  }

  #fetchStale() {
    const stale = this.#stale;
    this.#stale = new Set();
    this.#loadQueue();
    this.#loadMine();
    if (stale.has(this.#wanted)) this.#load(this.#wanted);
  }

  async #setView(view) {
    const { queue } = this.#parts;
    queue.view = view;
    queue.rows = null;
    queue.render();
    await this.#loadQueue();
  }

  async #loadQueue() {
    const { queue } = this.#parts;
    const { view } = queue;
    const asked = ++this.#asked;
    try {
      const answer = await get(`queue?view=${view}`);
      if (view !== queue.view || asked < this.#listed) return;
      this.#listed = asked;
      serverTime(answer.server_time);
      queue.rows = answer.rows;
      this.#people = answer.people;
      queue.failed = false;
    } catch (refusal) {
      if (refusal.status === 401) location.assign("/desk/login");
      queue.failed = refusal.status !== 0 || !queue.rows;
    }
    queue.render();
  }

  async #loadMine() {
    const { offers } = this.#parts;
    try {
      const before = offers.mine;
      offers.mine = await get("mine");
      if (offers.mine.presence.state !== before?.presence.state) this.#top();
      const fresh = offers.mine.offers.find((offer) => !before?.offers.some((known) => known.case === offer.case));
      if (fresh) this.#say(`${t("desk.offer")} ${fresh.name || t(nobody(fresh))}, ${aboutWords(fresh)}`);
    } catch {
      return; // the list says that there is no connection; offers go to others by themselves
    }
    offers.render();
  }

  async #sayState(state) {
    if (await this.#send("presence", { state })) this.#say(t("desk.presence.said", { state: t(`presence.${state}`) }));
    await this.#loadMine();
  }

  async #answerOffer({ case: id, answer }) {
    if (!(await this.#send(`cases/${encodeURIComponent(id)}/offer/${answer}`, {}))) return this.#loadMine();
    this.#say(t(`desk.offer.said.${answer}`));
    if (answer === "accept") await this.#open(id);
    return this.#loadMine();
  }

  async #wrapUp(outcome) {
    if (await this.#send("wrap-up", { outcome })) this.#say(t("desk.said.wrapup"));
    await this.#loadMine();
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

  /** Somebody came to a case, left it, or began to write there. */
  #othersCame(id) {
    this.#parts.queue?.render();
    if (this.#view?.row.id === id) this.#showOthers();
  }

  #showOthers() {
    const line = this.#parts.head.querySelector(".others-here");
    if (!line) return;
    const others = this.#here.at(this.#view.row.id);
    const words = others.length ? hereWords(others, this.#me.person) : "";
    if (line.textContent === words) return;
    line.hidden = !words;
    line.classList.toggle("warn", others.some((other) => other.writing));
    line.replaceChildren(...(words ? [icon("person"), h("span", {}, words)] : []));
  }

  #foldAll() {
    const folds = [...this.#parts.list.querySelectorAll("details")];
    const open = folds.some((fold) => !fold.open);
    for (const fold of folds) fold.open = open;
  }

  async #open(id, focus = true) {
    this.#wanted = id;
    this.#parts.context.refused = null;
    this.#parts.context.chosen = "";
    history.replaceState(null, "", `#${encodeURIComponent(id)}`);
    await this.#load(id);
    this.#pane("case");
    if (focus && this.#view) this.#parts.list.focus();
    this.#parts.list.scrollTop = this.#parts.list.scrollHeight;
  }

  async #load(id) {
    const asked = ++this.#asked;
    try {
      const view = await get(`cases/${encodeURIComponent(id)}`);
      if (id !== this.#wanted || asked < this.#shown) return;
      this.#shown = asked;
      this.#view = view;
    } catch (refusal) {
      if (id !== this.#wanted) return;
      this.#wanted = this.#view?.row.id ?? "";
      this.#say(t(`error.${refusal.code}`), true);
      return;
    }
    this.#showCase();
  }

  #showCase() {
    const { queue, composer, context, head, list, main } = this.#parts;
    const view = this.#view;
    main.classList.toggle("empty", !view);
    composer.hidden = !view;
    list.hidden = !view;
    if (!view) {
      head.replaceChildren(h("p", { class: "state quiet" }, icon("bubble"), t("desk.case.none")));
      return;
    }
    const { row } = view;
    this.#here.open(row.id);
    queue.open = row.id;
    queue.render();
    replaceInside(
      head,
      h(
        "div",
        { class: "case-title" },
        channelIcon(row.channel, channelName(row.channel)),
        h("h2", {}, row.name || t(nobody(row)), h("span", { class: "quiet" }, " · ", aboutWords(row))),
      ),
      h(
        "div",
        { class: "case-facts" },
        h("span", { class: `status ${row.status}` }, statusName(row.status)),
        h("span", { class: "quiet figures" }, t("desk.number", { number: caseNumber(row.number) })),
        row.due ? h("span", {}, t("desk.promise"), " ", h("time-left", { class: "figures", due: row.due, start: row.promised })) : null,
        h("span", { class: "quiet" }, row.assignee ? t("desk.with", { name: colleagueName(row.assignee) }) : t("desk.with.nobody")),
      ),
      waitingWords(view),
      h("div", { class: "case-acts", role: "group", "aria-label": t("desk.acts") }, this.#acts(view)),
      h("p", { class: "others-here", role: "status", hidden: true }),
    );
    this.#showOthers();
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX;
    const unfolded = new Set([...list.querySelectorAll("details[open] [data-seq]")].map((line) => line.dataset.seq));
    list.replaceChildren(...timeline(view));
    for (const details of list.querySelectorAll("details")) if ([...details.querySelectorAll("[data-seq]")].some((line) => unfolded.has(line.dataset.seq))) details.open = true;
    if (atEnd) list.scrollTop = list.scrollHeight;
    composer.show(view);
    context.view = view;
    context.render();
  }

  /** What can be done with the case as a whole. Who else is signed in can be given it. */
  #acts(view) {
    const { row } = view;
    const online = this.#parts.context.online;
    const others = this.#people.filter((person) => person !== this.#me.person && person !== row.assignee).map((person) => [person, colleagueName(person)]);
    // Nobody has an empty name: that is software, which answers again.
    if (view.with_person) others.push(["", t("desk.assign.software")]);
    const closed = row.status === "closed";
    const mine = row.assignee === this.#me.person;
    return [
      mine
        ? h("button", { class: "small", disabled: !online, dataset: { key: "give-back" }, onclick: () => this.#act("release") }, t("desk.release"))
        : h("button", { class: "small", disabled: !online, dataset: { key: "take" }, onclick: () => this.#act("take") }, t("desk.take")),
      others.length && !closed
        ? menu({ key: "assign", words: t("desk.assign"), choices: others, act: (to) => (to ? this.#act("assign", { to }) : this.#act("give-back")), disabled: !online })
        : null,
      holdControls(view, {
        online,
        ask: (reason) => this.#act("hold", { reason }),
        end: (reason) => this.#act("end", { reason }),
      }),
      closed
        ? null
        : menu({
            key: "escalate",
            words: t("desk.escalate"),
            choices: view.escalate_reasons.map((reason) => [reason, t(`reason.${reason}`)]),
            act: (reason) => this.#act("escalate", { reason }),
            disabled: !online,
          }),
    ];
  }

  async #act(action, body = {}, { done = () => {}, failed = () => {} } = {}) {
    const { row } = this.#view;
    const { context } = this.#parts;
    try {
      const answer = await post(`cases/${encodeURIComponent(row.id)}/${action}`, body);
      context.refused = null;
      done();
      const variant = action === "called" ? body.result : action === "call" && !answer.rings ? "dial" : "";
      this.#say(t(`desk.said.${action}${variant && `.${variant}`}`, answer));
    } catch (refusal) {
      if (action === "close" && refusal.code === "missing") {
        context.refused = refusal.detail.missing;
        this.#say(t("desk.close.refused", { n: refusal.detail.missing.length }), true);
        context.render();
        context.focusClose();
      } else {
        failed(refusalWords(refusal));
        this.#say(refusalWords(refusal), true);
      }
    }
    this.#changed(row.id);
  }

  #say(words, bad = false) {
    const { said } = this.#parts;
    said.className = bad ? "said bad" : "said";
    said.textContent = words;
  }

  #showHelp(on) {
    const { help } = this.#parts;
    this.#help = on;
    help.hidden = !on;
    help.replaceChildren(
      h("h2", {}, t("desk.help")),
      h("dl", {}, keyMap().map(([key, words]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)))),
      h("p", { class: "quiet" }, t("key.state")),
      h(
        "p",
        { class: "offer-answers" },
        h("button", { onclick: () => this.#showHelp(false) }, t("close")),
        h(
          "button",
          {
            dataset: { key: "keys" },
            onclick: () => {
              letKeysAct(!keysAct());
              this.#showHelp(true);
            },
          },
          t(keysAct() ? "key.off" : "key.on"),
        ),
      ),
    );
    this.#parts.top.querySelector("[aria-expanded]")?.setAttribute("aria-expanded", String(on));
    if (on) help.focus();
    else this.#parts.top.querySelector("[aria-expanded]")?.focus();
  }
}

customElements.define("desk-app", DeskApp);
