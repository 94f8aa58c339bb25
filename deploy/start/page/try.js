// The four doors to try. Each form goes through the door that a customer's machine would use.

import { channelIcon, h, icon } from "/assets/dom.js";
import { language, t, tOr } from "/assets/i18n.js";
import { about, problemWords, seconds, send } from "./frame.js";

/** The panel; built once per language, so that what somebody is writing is not swept away by news. */
export function tryIt() {
  return [mailForm(), letterForm(), chatDoor(), callForm()];
}

function door(channel, title, ...content) {
  return h("details", { class: "door", name: "door", open: channel === "email" }, h("summary", {}, channelIcon(channel), t(title)), content);
}

function customerSelect(onChoose, label) {
  const select = h(
    "select",
    { onchange: () => onChoose(about.customers[Number(select.value)]) },
    about.customers.map((customer, number) => h("option", { value: String(number) }, `${customer.name} (${customer.language})`)),
  );
  const own = about.customers.findIndex((customer) => customer.language === language());
  select.value = String(Math.max(0, own));
  return { select, label: field(label, select), chosen: () => about.customers[Number(select.value)] };
}

function field(words, control) {
  return h("label", { class: "field" }, h("span", {}, t(words)), control);
}

function outcome() {
  const line = h("p", { class: "told", role: "status" });
  return {
    line,
    tell: (words, bad = false) => {
      line.className = bad ? "told bad" : "told good";
      line.replaceChildren(icon(bad ? "warning" : "check"), h("span", {}, words));
    },
    busy: (words) => {
      line.className = "told quiet";
      line.replaceChildren(icon("clock"), h("span", {}, words));
    },
  };
}

async function attempt(event, told, busy, action) {
  event.preventDefault();
  const button = event.target.querySelector("button[type=submit]");
  button.disabled = true;
  told.busy(t(busy));
  try {
    told.tell(await action());
  } catch (error) {
    told.tell(problemWords(error), true);
  } finally {
    button.disabled = false;
  }
}

function mailForm() {
  const name = h("input", { autocomplete: "off", required: true });
  const address = h("input", { type: "email", autocomplete: "off", required: true });
  const subject = h("input", { autocomplete: "off" });
  const text = h("textarea", { rows: 8, required: true });
  const fill = (customer) => {
    name.value = customer.name;
    address.value = customer.email;
    subject.value = customer.subject;
    text.value = customer.mail;
  };
  const who = customerSelect(fill, "start.try.as");
  if (who.chosen()) fill(who.chosen());
  const told = outcome();
  return door(
    "email",
    "start.try.mail",
    h(
      "form",
      {
        onsubmit: (event) =>
          attempt(event, told, "start.try.sending", async () => {
            await send("mail", { name: name.value, address: address.value, subject: subject.value, text: text.value });
            return t("start.try.mail.sent");
          }),
      },
      h("p", { class: "quiet" }, t("start.try.mail.how", { smtp: about.smtp, address: about.mail_address })),
      who.label,
      h("div", { class: "pair" }, field("start.try.name", name), field("start.try.address", address)),
      field("start.try.subject", subject),
      field("start.try.text", text),
      h("button", { type: "submit", class: "primary" }, t("start.try.mail.send")),
      told.line,
    ),
  );
}

function letterForm() {
  const file = h("input", { type: "file", accept: ".pdf,.tif,.tiff,.jpg,.jpeg,.png" });
  const text = h("textarea", { rows: 8 });
  const who = customerSelect((customer) => (text.value = customer.mail), "start.try.as");
  const first = who.chosen();
  if (first) text.value = first.mail;
  const dropped = outcome();
  const written = outcome();
  return door(
    "post",
    "start.try.letter",
    h(
      "form",
      {
        onsubmit: (event) =>
          attempt(event, dropped, "start.try.sending", async () => {
            if (!file.files.length) throw new Error("door.letter.kind");
            await send("scan", file.files[0], { "X-File-Name": encodeURIComponent(file.files[0].name) });
            return t("start.try.letter.sent");
          }),
      },
      h("p", { class: "quiet" }, t("start.try.letter.how", { folder: about.drop_folder })),
      field("start.try.file", file),
      h("button", { type: "submit" }, t("start.try.letter.drop")),
      dropped.line,
    ),
    h(
      "form",
      {
        onsubmit: (event) =>
          attempt(event, written, "start.try.printing", async () => {
            const customer = who.chosen();
            const sender = [customer.name, ...(customer.address || "").split("\n")];
            await send("letter", { text: text.value, language: customer.language, sender });
            return t("start.try.letter.sent");
          }),
      },
      who.label,
      field("start.try.text", text),
      h("button", { type: "submit", class: "primary" }, t("start.try.letter.write")),
      written.line,
    ),
  );
}

function chatDoor() {
  return door("chat", "start.try.chat", h("p", { class: "quiet" }, t("start.try.chat.how")), h("a", { class: "button primary", href: `/chat/demo?lang=${language()}`, target: "_blank", rel: "noopener" }, t("start.try.chat.open")));
}

function callForm() {
  const lines = Object.entries(about.phone_numbers);
  const number = h("select", {}, lines.map(([value, spoken]) => h("option", { value }, `${value} (${tOr(`language.${spoken}`, spoken)})`)));
  const says = h("textarea", { rows: 4, required: true });
  const fill = (customer) => {
    const line = lines.find(([, spoken]) => spoken === customer.language);
    if (line) number.value = line[0];
    says.value = customer.call;
  };
  const who = customerSelect(fill, "start.try.caller");
  if (who.chosen()) fill(who.chosen());
  const told = outcome();
  const heard = h("ol", { class: "heard-lines", "aria-live": "polite" });
  return door(
    "phone",
    "start.try.call",
    h(
      "form",
      {
        onsubmit: (event) =>
          attempt(event, told, "start.try.calling", async () => {
            heard.replaceChildren();
            const answer = await send("call", { number: number.value, caller: who.chosen().phone, says: says.value.split("\n") });
            heard.replaceChildren(...answer.heard.map((line) => h("li", {}, h("span", { class: "figures quiet" }, seconds(line.at)), h("span", {}, line.say))));
            return t("start.try.call.done");
          }),
      },
      h("p", { class: "quiet" }, t("start.try.call.how")),
      h("div", { class: "pair" }, who.label, field("start.try.line", number)),
      field("start.try.says", says),
      h("button", { type: "submit", class: "primary" }, icon("phone"), t("start.try.call.ring")),
      told.line,
      heard,
    ),
  );
}
