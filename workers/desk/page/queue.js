// The left column: what is to be done, the least time left first.

import { channelIcon, h, icon, replaceInside } from "/assets/dom.js";
import { t } from "/assets/i18n.js";
import "/assets/timeleft.js";
import { hereWords } from "./herewords.js";
import { aboutWords, channelName, colleagueName, languageName, nobody } from "./words.js";

const VIEWS = ["waiting", "software", "closed"];

export class DeskQueue extends HTMLElement {
  rows = null;
  me = null;
  view = "waiting";
  open = "";
  failed = false;
  here = null;
  #filter = { language: "", channel: "" };

  connectedCallback() {
    this.addEventListener("click", (event) => {
      const row = event.target.closest("[data-case]");
      if (row) this.dispatchEvent(new CustomEvent("open-case", { detail: row.dataset.case, bubbles: true }));
    });
  }

  render() {
    replaceInside(this, this.#views(), this.#filters(), this.#list());
  }

  /** Move the focus by a number of rows. */
  step(by) {
    const rows = [...this.querySelectorAll("[data-case]")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => row === document.activeElement);
    const start = at >= 0 ? at : rows.findIndex((row) => row.dataset.case === this.open);
    const next = start < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, start + by));
    rows[next].focus();
    rows[next].scrollIntoView({ block: "nearest" });
  }

  focusOpen() {
    (this.querySelector(`[data-case="${CSS.escape(this.open)}"]`) || this.querySelector("[data-case]"))?.focus();
  }

  #views() {
    return h(
      "div",
      { class: "views", role: "group", "aria-label": t("desk.views") },
      VIEWS.map((view) =>
        h(
          "button",
          {
            class: "plain view",
            "aria-pressed": String(view === this.view),
            dataset: { key: `view-${view}` },
            onclick: () => this.dispatchEvent(new CustomEvent("view", { detail: view, bubbles: true })),
          },
          t(`desk.view.${view}`),
        ),
      ),
    );
  }

  #filters() {
    const select = (name, options, words) =>
      h(
        "label",
        { class: "filter" },
        h("span", { class: "unseen" }, t(`desk.filter.${name}`)),
        h(
          "select",
          {
            dataset: { key: `filter-${name}` },
            onchange: (event) => {
              this.#filter[name] = event.target.value;
              this.render();
            },
          },
          h("option", { value: "" }, t(`desk.filter.${name}.all`)),
          options.map((option) => h("option", { value: option, selected: this.#filter[name] === option }, words(option))),
        ),
      );
    const channels = [...new Set((this.rows || []).map((row) => row.channel))].sort();
    return h(
      "div",
      { class: "filters" },
      select("language", ["de", "nb", "en"], languageName),
      select("channel", channels, channelName),
    );
  }

  #list() {
    if (this.failed) return h("p", { class: "state" }, icon("warning"), t("desk.queue.failed"));
    if (!this.rows) return h("p", { class: "state quiet", "aria-busy": "true" }, t("desk.loading"));
    const { language, channel } = this.#filter;
    const rows = this.rows.filter(
      (row) => (!language || row.language === language) && (!channel || row.channel === channel),
    );
    if (!rows.length) {
      return h("p", { class: "state quiet" }, icon("check"), t(this.rows.length ? "desk.queue.filtered" : `desk.queue.empty.${this.view}`));
    }
    if (this.view !== "waiting") return this.#group(t(`desk.view.${this.view}`), rows);
    const mine = rows.filter((row) => row.assignee === this.me.person);
    const rest = rows.filter((row) => row.assignee !== this.me.person);
    const free = rest.filter((row) => !row.assignee);
    return [
      this.#group(t("desk.group.line"), free.filter((row) => row.live && row.status === "waiting-person")),
      this.#group(t("desk.group.mine"), mine),
      this.#group(t("desk.group.unassigned"), free.filter((row) => !(row.live && row.status === "waiting-person"))),
      this.#group(t("desk.group.others"), rest.filter((row) => row.assignee)),
    ];
  }

  #group(name, rows) {
    if (!rows.length) return null;
    return h(
      "section",
      { class: "group" },
      h("h2", {}, name, h("span", { class: "count figures" }, String(rows.length))),
      h("ul", {}, rows.map((row) => h("li", {}, this.#row(row)))),
    );
  }

  #row(row) {
    const about = aboutWords(row);
    return h(
      "button",
      {
        class: "row",
        dataset: { case: row.id, key: row.id },
        "aria-current": row.id === this.open ? "true" : null,
      },
      h(
        "span",
        { class: "row-head" },
        channelIcon(row.channel, channelName(row.channel)),
        h("span", { class: "row-name" }, row.name || t(nobody(row))),
        row.hold
          ? h("time-left", { class: "figures", due: row.hold.due, start: row.hold.heard })
          : row.due
          ? h("time-left", { class: "figures", due: row.due, start: row.promised })
          : row.status === "waiting-person"
            ? h("time-since", { class: "figures quiet", from: row.updated })
            : null,
      ),
      h(
        "span",
        { class: "row-about" },
        h("span", { class: "row-text" }, about),
        h("span", { class: "tag", title: languageName(row.language) }, row.language || "–"),
      ),
      this.#below(row),
    );
  }

  /** The third line: what is special, who has it, who is looking at it; nothing for a plain case. */
  #below(row) {
    const others = this.here?.at(row.id) || [];
    const waits = row.waits && row.status === "waiting-person" && (row.hold || row.due);
    const parts = [
      row.hold ? h("span", { class: "flag" }, icon("clock"), t(`hold.${row.hold.reason}`)) : null,
      waits ? h("time-since", { class: "flag figures", from: row.waits }) : null,
      row.flags.map((flag) => h("span", { class: `flag ${flag}` }, icon("flag"), t(`flag.${flag}`))),
      row.assignee && row.assignee !== this.me.person ? h("span", { class: "flag" }, icon("person"), colleagueName(row.assignee)) : null,
      row.offered && !row.assignee ? h("span", { class: "flag" }, icon("person"), t("flag.offered", { name: colleagueName(row.offered) })) : null,
      others.length ? h("span", { class: "flag here" }, icon(others.some((other) => other.writing) ? "note" : "person"), hereWords(others, this.me.person)) : null,
    ].flat().filter(Boolean);
    return parts.length ? h("span", { class: "row-flags" }, parts) : null;
  }
}

customElements.define("desk-queue", DeskQueue);
