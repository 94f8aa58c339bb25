// The timeline of a case over all channels. What people said stands out; what the system did is quiet and folds.

import { channelIcon, h, icon } from "/assets/dom.js";
import { formatDay, formatMoney, formatTime, t, tOr } from "/assets/i18n.js";
import { scan } from "./scan.js";
import { actorName, caseNumber, channelName, colleagueName, departmentName, issueName, reasonName } from "./words.js";

const SPOKEN = new Set(["received", "reply-planned", "noted"]);

/** List items for the events of a case; `view` is the whole case, for files and the fate of replies. */
export function timeline(view) {
  const fate = new Map();
  for (const event of view.events) if (event.kind === "reply-progress") fate.set(event.reply, event);
  const items = [];
  let day = "";
  let quiet = [];
  const flush = () => {
    if (quiet.length) items.push(systemLines(quiet, view.others));
    quiet = [];
  };
  for (const event of view.events) {
    const thisDay = formatDay(event.at);
    if (thisDay !== day) {
      flush();
      items.push(h("li", { class: "day" }, thisDay));
      day = thisDay;
    }
    if (!SPOKEN.has(event.kind)) {
      quiet.push(event);
      continue;
    }
    flush();
    if (event.kind === "received") items.push(received(event, view));
    else if (event.kind === "noted") items.push(note(event));
    else items.push(reply(event, fate.get(event.reply)));
  }
  flush();
  return items;
}

function message(kind, event, head, ...body) {
  return h("li", { class: `message ${kind}`, dataset: { seq: event.seq } }, h("div", { class: "message-head" }, head), body);
}

function time(event) {
  return h("time", { datetime: event.at, class: "figures quiet" }, formatTime(event.at));
}

function received(event, view) {
  const files = view.files.filter((file) => file.contact === event.contact);
  const who = event.route.address.name || view.row.name || t("desk.actor.customer");
  const channel = event.route.channel;
  const said = event.text || tOr(`desk.request.${event.request}`, t("desk.text.none"));
  return message(
    event.automatic ? "customer automatic" : "customer",
    event,
    [
      channelIcon(channel),
      h("strong", {}, who),
      h("span", { class: "quiet" }, channelName(channel)),
      event.automatic ? h("span", { class: "flag" }, icon("machine"), t("desk.automatic")) : null,
      event.quality && event.quality !== "ok" ? h("span", { class: "flag failed" }, icon("warning"), t(`quality.${event.quality}`)) : null,
      time(event),
    ],
    event.subject ? h("p", { class: "subject" }, event.subject) : null,
    h("p", { class: "text", lang: view.row.language || null }, said),
    fileList(files, view.row.id),
  );
}

function reply(event, progress) {
  const state = progress ? progress.state : "planned";
  const machine = event.actor === "machine";
  return message(
    machine ? "machine" : "person",
    event,
    [
      icon(machine ? "machine" : "person"),
      h("strong", {}, actorName(event.actor)),
      h("span", { class: "quiet" }, t("desk.reply.by", { channel: channelName(event.channel) })),
      event.reply_kind === "answer" ? null : h("span", { class: "quiet" }, tOr(`reply.kind.${event.reply_kind}`, event.reply_kind)),
      h("span", { class: `fate ${state}` }, icon(fateIcon(state)), tOr(`reply.state.${state}`, state)),
      time(event),
    ],
    event.to_person ? h("p", { class: "quiet" }, t("desk.reply.elsewhere")) : null,
    h("p", { class: "text", lang: event.language || null }, event.text),
    progress && progress.state === "failed" ? h("p", { class: "bad" }, t("desk.reply.failed")) : null,
  );
}

function fateIcon(state) {
  if (state === "failed") return "warning";
  return state === "planned" || state === "unknown" ? "clock" : "check";
}

function note(event) {
  return message(
    "note",
    event,
    [icon("note"), h("strong", {}, actorName(event.actor)), h("span", { class: "quiet" }, t("desk.note.inside")), time(event)],
    h("p", { class: "text" }, event.actor === "machine" ? tOr(`note.${event.text}`, event.text) : event.text),
  );
}

function fileList(files, caseId) {
  if (!files.length) return null;
  const address = (file) => `/desk/api/cases/${encodeURIComponent(caseId)}/files/${encodeURIComponent(file.digest)}`;
  return h(
    "ul",
    { class: "files" },
    files.map((file) => {
      const name = file.name || t(file.role === "raw" ? "desk.file.original" : "desk.file.unnamed");
      return h(
        "li",
        {},
        file.picture ? scan(address(file), name) : null,
        h("a", { href: address(file), download: "" }, icon("letter"), name, h("span", { class: "quiet" }, ` ${size(file.size)}`)),
      );
    }),
  );
}

function size(bytes) {
  return bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function systemLines(events, others) {
  const line = (event) =>
    h("li", { dataset: { seq: event.seq } }, time(event), h("span", {}, systemWords(event, others)));
  if (events.length === 1) return h("li", { class: "system" }, h("ul", {}, line(events[0])));
  const last = events[events.length - 1];
  return h(
    "li",
    { class: "system" },
    h(
      "details",
      {},
      h("summary", {}, time(last), systemWords(last, others), h("span", { class: "count figures" }, t("desk.system.more", { n: events.length - 1 }))),
      h("ul", {}, events.map(line)),
    ),
  );
}

/** One event as a sentence; `others` are rows of the person's other cases. An event unknown to this page shows its kind. */
function systemWords(event, others) {
  const values = {
    actor: actorName(event.actor),
    channel: channelName(event.follow_up || event.channel || event.told || ""),
    department: departmentName(event.department || ""),
    issue: (event.intents || []).slice(0, 1).map(issueName).join(", "),
    percent: Math.round((event.confidence || 0) * 100),
    to: colleagueName(event.to || ""),
    outcome: tOr(`outcome.${event.outcome}`, event.outcome || ""),
    action: tOr(`action.${event.action}`, event.action || ""),
    reference: event.reference || "",
    amount: event.amount ? formatMoney(event.amount, event.currency) : "",
    what: tOr(`promise.${event.promise?.what ?? event.what}`, event.promise?.what ?? event.what ?? ""),
    until: event.promise ? `${formatDay(event.promise.until)} ${formatTime(event.promise.until)}` : "",
    reason: event.kind.startsWith("hold-") ? t(`hold.${event.reason || "busy"}`) : reasonName(event.reason || ""),
    seconds: event.seconds ?? 0,
    minutes: event.minutes ?? 0,
    score: event.score ?? 0,
    words: event.words || "",
    names: (event.names || []).map(colleagueName).join(", "),
    state: tOr(`reply.state.${event.state}`, event.state || ""),
    by: tOr(`proof.by.${event.by}`, event.by || ""),
    name: tOr(`procedure.${event.name || event.procedure?.name}`, event.name || event.procedure?.name || ""),
    result: tOr(`result.${event.result}`, event.result || ""),
    number: caseNumber(event.number || others.find((row) => row.id === event.other)?.number || event.other || ""),
  };
  const variant =
    (event.kind === "assigned" && !event.to && "event.assigned.back") ||
    (event.kind === "assigned" && event.to === event.actor && "event.assigned.took") ||
    (event.kind === "understood" && !values.issue && "event.understood.nothing") ||
    (event.kind === "hold-ended" && event.how !== "closed" && `event.hold-ended.${event.how}`) ||
    (event.kind === "promise-broken" && event.told && "event.promise-broken.told") ||
    (event.kind === "praise-given" && values.names && "event.praise-given.names") ||
    (event.kind === "service-missed" && `event.service-missed.${event.target}`) ||
    (event.kind === "offered" && `event.offered.${event.how}`) ||
    (event.kind === "callback-missed" && `event.callback-missed.${event.reason}`) ||
    (event.kind === "callback-ended" && event.how !== "closed" && `event.callback-ended.${event.how}`) ||
    (event.kind === "anything-else-answered" && `event.anything-else-answered.${event.answer}`) ||
    `event.${event.kind}`;
  return tOr(variant, null) ? t(variant, values) : event.kind;
}
