// One row per channel: the newest contact, lighting up stop by stop on its way.

import { channelIcon, h, icon } from "/assets/dom.js";
import { t, tOr } from "/assets/i18n.js";
import { channelName, departmentName, issueName, seconds } from "./frame.js";

const ORDER = ["phone", "email", "post", "chat"];
export const STOPS = ["received", "identified", "understood", "answered"];

/** How far a journey has come, as the set of stops that are lit. */
export function lit(journey) {
  const stops = new Set(journey.steps.map((step) => (step.stop === "status" ? "" : step.stop)));
  if (journey.answered_s !== null && journey.answered_s !== undefined) stops.add("answered");
  return stops;
}

export function rows(journeys, channels, selected, choose) {
  const shown = [...ORDER.filter((name) => channels.includes(name)), ...channels.filter((name) => !ORDER.includes(name) && name !== "link")];
  return h(
    "ul",
    { class: "rows" },
    shown.map((channel) => {
      const journey = matter(journeys, channel);
      return h("li", {}, journey ? full(journey, journey.contact === selected, choose) : empty(channel));
    }),
  );
}

/** The newest contact of a channel that is about something: a thank you or a hanging up is no news of its own. */
function matter(journeys, channel) {
  const newest = journeys.find((one) => one.channel === channel && !one.signal);
  if (!newest?.case) return newest;
  return journeys.find((one) => one.case === newest.case && one.intent && !one.intent.startsWith("talk.")) || newest;
}

function empty(channel) {
  return h(
    "div",
    { class: "row" },
    h("span", { class: "channel" }, channelIcon(channel), channelName(channel)),
    track(new Set()),
    h("span", { class: "quiet waiting" }, t("start.row.empty")),
  );
}

function full(journey, selected, choose) {
  const done = journey.answered_s !== null && journey.answered_s !== undefined;
  return h(
    "button",
    { class: "row", "aria-pressed": String(selected), dataset: { key: `row-${journey.channel}` }, onclick: () => choose(journey.contact) },
    h("span", { class: "channel" }, channelIcon(journey.channel), channelName(journey.channel), h("span", { class: "tag" }, journey.language || "…")),
    track(lit(journey)),
    h("span", { class: "heard figures" }, t("start.row.heard", { time: seconds(journey.heard_s) })),
    h("span", { class: "meant" }, journey.department ? t("start.row.understood", { issue: journey.intent ? issueName(journey.intent) : t("start.row.unclear") }) : ""),
    h("span", { class: "department" }, journey.department ? departmentName(journey.department) : ""),
    h(
      "span",
      { class: `answered figures ${journey.state === "failed" ? "bad" : done ? "good" : "quiet"}` },
      icon(journey.state === "failed" ? "warning" : done ? "check" : "clock"),
      journey.state === "failed" ? t("reply.state.failed") : done ? seconds(journey.answered_s) : stateWords(journey),
    ),
  );
}

function stateWords(journey) {
  if (journey.state === "planned") return t("reply.state.planned");
  return tOr(journey.department ? "start.row.working" : "start.row.reading", "");
}

function track(stops) {
  return h(
    "span",
    { class: "track", role: "img", "aria-label": STOPS.filter((stop) => stops.has(stop)).map((stop) => t(`start.stop.${stop}`)).join(", ") || t("start.stop.none") },
    STOPS.map((stop) => h("span", { class: stops.has(stop) ? "stop lit" : "stop", title: t(`start.stop.${stop}`) })),
  );
}
