// Reports: figures of a span of days, told apart by what is asked for.

import { h, icon, replaceInside } from "/assets/dom.js";
import { formatDay, formatNumber, preferredLanguage, t, useLanguage } from "/assets/i18n.js";
import { shortDuration } from "/assets/timeleft.js";
import { get } from "./api.js";
import { pageHead } from "./pagehead.js";
import { channelName, colleagueName, departmentName, languageName, learnWords } from "./words.js";

const DIMENSIONS = ["day", "channel", "department", "language", "operator"];
const CHOSEN = ["channel", "department", "language", "operator"];
const NONE = "none"; // in the address, for figures of which it is not known
const DAYS_SHOWN = 7;
const SPANS = [1, 7, 30];

class DeskReports extends HTMLElement {
  #me = null;
  #report = null;
  #refused = "";
  #asked = { since: "", until: "", by: ["day"], only: {} };
  #values = {};
  #busy = false;

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
    const asked = new URLSearchParams(location.search);
    const today = new Date(this.#me.server_time);
    this.#asked = {
      since: asked.get("since") || day(today, 1 - DAYS_SHOWN),
      until: asked.get("until") || day(today, 0),
      by: (asked.get("by") ?? "day").split(",").filter((name) => DIMENSIONS.includes(name)),
      only: Object.fromEntries(CHOSEN.map((name) => [name, asked.get(name)]).filter(([, value]) => value)),
    };
    await this.#load();
  }

  async #load() {
    this.#busy = true;
    this.#draw();
    const query = this.#query();
    history.replaceState(null, "", `?${query}`); // whoever is given the address sees the same
    try {
      this.#report = await get(`reports?${query}`);
      this.#values = this.#report.values;
      this.#refused = "";
    } catch (refusal) {
      this.#report = null;
      this.#refused = refusal.code;
    }
    this.#busy = false;
    this.#draw();
  }

  #query() {
    const { since, until, by, only } = this.#asked;
    return new URLSearchParams({ since, until, by: by.join(","), ...only });
  }

  #draw() {
    document.title = t("report.title");
    const speak = async (code) => {
      await useLanguage(code);
      this.#draw();
    };
    const allowed = this.#refused !== "role";
    replaceInside(
      this,
      pageHead(this.#me, "reports", speak),
      h("main", {}, h("h2", {}, t("nav.reports")), allowed ? this.#form() : null, this.#body()),
    );
  }

  #form() {
    const { since, until, by, only } = this.#asked;
    const form = h(
      "form",
      {
        class: "asked",
        onsubmit: (event) => {
          event.preventDefault();
          const data = new FormData(form);
          const chosen = CHOSEN.map((name) => [name, data.get(name)]).filter(([, value]) => value);
          this.#asked = { since: data.get("since"), until: data.get("until"), by: data.getAll("by"), only: Object.fromEntries(chosen) };
          this.#load();
        },
      },
      h(
        "div",
        { class: "line" },
        h("label", {}, t("report.since"), h("input", { type: "date", name: "since", value: since, required: true, dataset: { key: "since" } })),
        h("label", {}, t("report.until"), h("input", { type: "date", name: "until", value: until, required: true, dataset: { key: "until" } })),
        h("span", { class: "spans", role: "group", "aria-label": t("report.spans") }, SPANS.map((days) => this.#span(days))),
      ),
      h("div", { class: "line" }, CHOSEN.map((name) => this.#choice(name, only[name] || ""))),
      h(
        "div",
        { class: "line" },
        h(
          "fieldset",
          {},
          h("legend", {}, t("report.by")),
          DIMENSIONS.map((name) => h("label", { class: "choice" }, h("input", { type: "checkbox", name: "by", value: name, checked: by.includes(name), dataset: { key: `by-${name}` } }), t(`report.by.${name}`))),
        ),
        h("button", { class: "primary", disabled: this.#busy, dataset: { key: "show" } }, t("report.show")),
      ),
    );
    return form;
  }

  /** The last days up to today, by one press. */
  #span(days) {
    const today = new Date(this.#me.server_time);
    const [since, until] = [day(today, 1 - days), day(today, 0)];
    const shown = this.#asked.since === since && this.#asked.until === until;
    const act = () => {
      this.#asked = { ...this.#asked, since, until };
      this.#load();
    };
    return h("button", { type: "button", class: "plain", "aria-pressed": String(shown), dataset: { key: `days-${days}` }, onclick: act }, t("report.days", { n: days }));
  }

  /** One value of a dimension, of those that there were in this span. */
  #choice(name, chosen) {
    const known = (this.#values[name] || []).map((value) => value || NONE);
    const values = chosen && !known.includes(chosen) ? [...known, chosen] : known;
    return h(
      "label",
      {},
      t(`report.by.${name}`),
      h(
        "select",
        { name, dataset: { key: `only-${name}` } },
        h("option", { value: "" }, t("report.all")),
        values.map((value) => h("option", { value, selected: value === chosen }, words(name, value === NONE ? "" : value))),
      ),
    );
  }

  #body() {
    if (this.#refused) return h("p", { class: "state bad", role: "alert" }, icon("warning"), t(`error.${this.#refused}`));
    if (!this.#report) return h("p", { class: "state quiet", "aria-busy": "true" }, t("report.loading"));
    const query = this.#query();
    const { total } = this.#report;
    if (!Object.values(total).some(Boolean)) return h("p", { class: "state quiet" }, icon("check"), t("report.empty"));
    return [
      h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": t("report.table") }, this.#table()),
      h("p", { class: "quiet explain" }, t("report.explain")),
      h(
        "p",
        { class: "saves" },
        h("a", { class: "button", href: `/desk/api/reports?${query}&form=csv`, download: "" }, t("report.csv")),
        h("a", { class: "button", href: `/desk/api/reports?${query}`, download: "report.json" }, t("report.json")),
      ),
    ];
  }

  #table() {
    const { by, rows, total } = this.#report;
    const columns = ["cases", "first_answer", "resolution", "service_missed", "promises", "longest_hold", "satisfaction", "praise", "abandoned"];
    const line = (figures) => [
      number(figures.cases),
      spread(figures.first_answer_median_s, figures.first_answer_90_s),
      spread(figures.resolution_median_s, figures.resolution_90_s),
      number(figures.service_missed),
      figures.promises ? pair(`${formatNumber(figures.promises_kept_percent, figures.promises_kept_percent % 1 ? 1 : 0)}\u00a0%`, figures.promises) : cell("–"),
      cell(figures.longest_hold_s === null ? "–" : shortDuration(figures.longest_hold_s * 1000)),
      figures.satisfaction_answers ? pair(formatNumber(figures.satisfaction_mean, 2), figures.satisfaction_answers) : cell("–"),
      number(figures.praise),
      number(figures.abandoned),
    ];
    return h(
      "table",
      {},
      h("thead", {}, h("tr", {}, by.map((name) => h("th", { scope: "col" }, t(`report.by.${name}`))), columns.map((name) => h("th", { scope: "col", class: "figure" }, t(`report.figure.${name}`))))),
      h(
        "tbody",
        {},
        rows.map((row) => h("tr", {}, by.map((name, place) => h(place ? "td" : "th", place ? {} : { scope: "row" }, words(name, row.of[name]))), line(row.figures))),
      ),
      h("tfoot", {}, h("tr", {}, by.length ? h("th", { scope: "row", colspan: String(by.length) }, t("report.total")) : null, line(total))),
    );
  }
}

function day(from, days) {
  const moved = new Date(from);
  moved.setDate(moved.getDate() + days);
  return `${moved.getFullYear()}-${String(moved.getMonth() + 1).padStart(2, "0")}-${String(moved.getDate()).padStart(2, "0")}`;
}

function words(dimension, value) {
  if (dimension === "day") return formatDay(`${value}T12:00:00`);
  if (dimension === "operator") return value === "machine" ? t("report.machine") : colleagueName(value) || t("report.nobody");
  if (!value) return t("report.unknown");
  return { channel: channelName, department: departmentName, language: languageName }[dimension](value);
}

const cell = (...content) => h("td", { class: "figure figures" }, content);
const number = (value) => cell(value ? formatNumber(value) : "–");
const pair = (big, n) => cell(big, h("span", { class: "quiet under" }, `(${formatNumber(n)})`));

function spread(median, ninety) {
  if (median === null) return cell("–");
  return cell(shortDuration(median * 1000), h("span", { class: "quiet under" }, t("report.ninety", { time: shortDuration(ninety * 1000) })));
}

customElements.define("desk-reports", DeskReports);
