// What just happened to one contact: each step with its time; a click shows the record itself.

import { channelIcon, h, icon } from "/assets/dom.js";
import { formatTime, t, tOr } from "/assets/i18n.js";
import { channelName, departmentName, issueName, seconds } from "./frame.js";

const LISTED = 8;

export function story(journeys, selected, choose) {
  if (!journeys.length) return h("p", { class: "quiet" }, t("start.story.empty"));
  const chosen = journeys.find((one) => one.contact === selected) || journeys[0];
  const cases = journeys.filter((one, at) => journeys.findIndex((other) => matterOf(other) === matterOf(one)) === at);
  const together = journeys.filter((one) => matterOf(one) === matterOf(chosen)).reverse();
  return [
    h(
      "ul",
      { class: "recent", "aria-label": t("start.story.recent") },
      cases.slice(0, LISTED).map((one) => {
        // Named after how it began: a click on a confirmation link has no name and no channel of its own.
        const first = journeys.findLast((other) => matterOf(other) === matterOf(one));
        return h(
          "li",
          {},
          h(
            "button",
            {
              class: "small",
              "aria-pressed": String(matterOf(one) === matterOf(chosen)),
              dataset: { key: `recent-${matterOf(one)}` },
              onclick: () => choose(one.contact),
            },
            channelIcon(first.channel, channelName(first.channel)),
            first.name || t("desk.name.visitor"),
            h("span", { class: "quiet figures" }, formatTime(one.at)),
          ),
        );
      }),
    ),
    together.map((journey) => [
      h("ol", { class: "steps" }, journey.steps.map((step, number) => h("li", {}, stepLine(journey, step, number, choose)))),
      journey.answer
        ? h("figure", { class: "answer" }, h("figcaption", { class: "quiet" }, t("start.story.answer")), h("blockquote", { lang: journey.language || null }, journey.answer))
        : null,
    ]),
  ];
}

/** Contacts of one case are told together. */
const matterOf = (journey) => journey.case || journey.contact;

const opened = new Map(); // records that somebody is looking at stay open while news comes in

function stepLine(journey, step, number, choose) {
  const key = `step-${journey.contact}-${number}`;
  const after = (new Date(step.at) - new Date(journey.at)) / 1000;
  const pre = h("pre", { hidden: !opened.has(key), tabindex: "0", "aria-label": t("start.story.record") }, opened.get(key) || "");
  const button = h(
    "button",
    {
      class: "plain step",
      "aria-expanded": String(opened.has(key)),
      dataset: { key },
      onclick: async () => {
        if (opened.has(key)) opened.delete(key);
        else opened.set(key, await record(step));
        choose(journey.contact); // what somebody looks into is not swept away by the next contact
      },
    },
    h("span", { class: "figures quiet at" }, `+${seconds(Math.max(0, after))}`),
    icon(step.stop === "reply" ? "bubble" : step.word === "failed" ? "warning" : "check"),
    h("span", {}, stepWords(journey, step)),
    h("code", { class: "quiet topic" }, step.topic),
  );
  return [button, pre];
}

async function record(step) {
  const { topic, partition, offset } = step;
  const answer = await fetch(`/start/api/record?${new URLSearchParams({ topic, partition, offset })}`);
  return answer.ok ? JSON.stringify(await answer.json(), null, 2) : t("error.gone");
}

function stepWords(journey, step) {
  const values = {
    channel: channelName(journey.channel),
    department: departmentName(step.word),
    issue: journey.intent ? issueName(journey.intent) : t("start.row.unclear"),
    percent: Math.round(journey.confidence * 100),
    kind: tOr(`reply.kind.${step.word}`, t("start.kind.answer")),
    state: tOr(`reply.state.${step.word}`, step.word),
  };
  if (step.stop === "received" && journey.signal) return tOr(`desk.request.${journey.signal}`, journey.signal);
  if (step.stop === "understood" && !journey.intent) return t("start.step.goes", values);
  if (step.stop === "identified") return tOr(`start.step.identified.${step.word}`, t("start.step.identified"));
  return t(`start.step.${step.stop}`, values);
}
