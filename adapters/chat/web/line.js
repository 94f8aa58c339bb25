// The line to the server: a socket that comes back by itself, and an outbox that forgets nothing before it is safe.

import { forget, load, loadAll, save } from "./keep.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
const STABLE_MS = 60_000; // a line that held so long starts again with short waits
const SILENCE_MS = 40_000; // the server pings every 25 s
const ACK_MS = 1000;
const ACK_EVENTS = 20;
const MOST_TRIES = 6;
const SESSION_MS = 10_000; // a token that does not come by then is asked for again

const TOKEN = 4401;
const REFUSED = [4403, 1008];

/**
 * Dispatches: `state` (idle until started, connecting, open, lost, refused), `welcome`, `event`, `reset`, `sent`, `failed`, `typing`,
 * `queue`, `company`; `detail` is the frame. Messages waiting to be sent are in `outbox`, by client message id.
 */
export class Line extends EventTarget {
  state = "idle";
  outbox = new Map();
  #socket = null;
  #cursor = "";
  #token = load("token") ?? "";
  #identity = "";
  #told = ""; // the identity that the token was asked for with
  #stale = false; // the server said that the token is
  #head = "";
  #language = "en";
  #wait = FIRST_WAIT_MS;
  #timers = {};
  #unacked = 0;
  #read = "";
  #drain = undefined; // what the server asked us to wait before the next connection
  #oneByOne = false; // a message was told to come again: the others follow it, each after the one before is safe

  constructor() {
    super();
    const waiting = loadAll("out.").sort((a, b) => a.at - b.at);
    for (const message of waiting) this.outbox.set(message.cid, message);
    const again = () => {
      const wanted = this.state !== "idle" && this.state !== "refused";
      if (wanted && !this.#socket && document.visibilityState === "visible") this.#connect();
    };
    addEventListener("online", again);
    addEventListener("pageshow", again);
    document.addEventListener("visibilitychange", again);
    addEventListener("offline", () => this.#socket && this.#lose(FIRST_WAIT_MS));
  }

  start(language) {
    this.#language = language;
    this.#set("connecting");
    this.#connect();
  }

  set language(language) {
    this.#language = language;
  }

  /** Who is logged in at the site: the conversation goes on, with a token that says so. */
  identify(identity) {
    if (identity === this.#identity) return;
    this.#identity = identity;
    if (this.state !== "idle") this.#lose(0);
  }

  /** Say something: kept first, sent when there is a line, and again until it is safe. */
  say(text, request = "") {
    const message = { cid: newId(), text, request, lang: this.#language, at: Date.now(), tries: 0, failed: "" };
    this.#keep(message);
    if (!this.#oneByOne) this.#send(frameOf(message));
    return message;
  }

  /** Try a failed message again. What was finally refused needs a new id, for it was never taken. */
  retry(cid) {
    const old = this.outbox.get(cid);
    if (!old) return null;
    const message = { ...old, cid: old.final ? newId() : cid, tries: 0, failed: "", final: false };
    this.drop(cid);
    this.#keep(message);
    if (!this.#oneByOne) this.#send(frameOf(message));
    return message;
  }

  drop(cid) {
    this.outbox.delete(cid);
    forget(`out.${cid}`);
  }

  /** Everything so far has been on the screen. */
  markRead() {
    if (this.#cursor && this.#read !== this.#cursor && this.#send({ t: "read", upto: this.#cursor })) {
      this.#read = this.#cursor;
    }
  }

  typing() {
    if (!this.#timers.typing) {
      this.#send({ t: "typing", on: true });
      this.#timers.typing = setTimeout(() => (this.#timers.typing = 0), 4000);
    }
  }

  // --- connecting

  async #connect() {
    clearTimeout(this.#timers.connect);
    if (this.#socket) return;
    const place = (this.#socket = { close() {}, readyState: 0 }); // taken while the token is fetched
    try {
      while (!this.#token || this.#stale || this.#told !== this.#identity) await this.#renew(place);
    } catch (error) {
      if (this.#socket !== place) return; // lost in between, and another attempt is on its way
      this.#socket = null;
      return error.final ? this.#set("refused") : this.#lose();
    }
    const address = new URL("/chat/socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const real = (this.#socket = new WebSocket(address));
    const mine = (action) => (event) => this.#socket === real && action(event);
    real.onopen = mine(() =>
      real.send(JSON.stringify({ t: "hello", v: 1, token: this.#token, cursor: this.#cursor, lang: this.#language })),
    );
    real.onmessage = mine((event) => this.#hear(JSON.parse(event.data)));
    real.onclose = mine((event) => this.#closed(event.code));
    this.#watch();
  }

  async #renew(place) {
    const [old, identity] = [this.#token, this.#identity];
    const body = JSON.stringify({ token: old, identity });
    const response = await fetch("/chat/session", { method: "POST", body, signal: AbortSignal.timeout(SESSION_MS) });
    const answer = await response.json().catch(() => ({}));
    if (this.#socket !== place) throw new Error();
    if (answer.error === "identity") {
      // The site's word lives an hour, a conversation longer: it goes on with what the token itself still vouches for.
      if (identity === this.#identity) this.#identity = this.#told = "";
      return;
    }
    if (!answer.token) throw Object.assign(new Error(), { final: response.status === 403 });
    if (!answer.resumed && old) this.#forgetConversation();
    this.#token = answer.token;
    this.#told = identity;
    this.#stale = false;
    save("token", answer.token);
    this.#emit("company", answer);
  }

  #forgetConversation() {
    this.#cursor = this.#read = "";
    this.#emit("reset", {});
  }

  #closed(code) {
    this.#socket = null;
    clearTimeout(this.#timers.silence); // the silence of a line that is gone
    if (REFUSED.includes(code)) return this.#set("refused");
    if (code !== TOKEN) return this.#lose();
    this.#stale = true;
    this.#connect();
  }

  #lose(wait) {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    clearTimeout(this.#timers.silence);
    clearTimeout(this.#timers.stable);
    clearTimeout(this.#timers.connect);
    // Full jitter: after a restart a thousand visitors do not come back in the same moment.
    const pause = wait ?? this.#drain ?? Math.random() * this.#wait;
    this.#drain = undefined;
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    this.#timers.connect = setTimeout(() => this.#connect(), pause);
    if (wait !== 0) this.#set("lost");
  }

  #watch() {
    clearTimeout(this.#timers.silence);
    this.#timers.silence = setTimeout(() => this.#lose(), SILENCE_MS);
  }

  // --- frames

  #hear(frame) {
    this.#watch();
    switch (frame.t) {
      case "welcome":
        this.#timers.stable = setTimeout(() => (this.#wait = FIRST_WAIT_MS), STABLE_MS);
        this.#head = frame.head;
        this.#set("open");
        this.#oneByOne = false;
        clearTimeout(this.#timers.again);
        for (const message of this.outbox.values()) if (!message.failed) this.#send(frameOf(message));
        break;
      case "event":
        // Our own messages come back here too; they stay in the outbox until "sent" says that they are safe.
        this.#cursor = frame.cursor;
        this.#acknowledge();
        break;
      case "sent":
        this.drop(frame.cid);
        if (this.#oneByOne) this.#next();
        break;
      case "nack":
        return this.#refuse(frame);
      case "reset":
        // It comes behind the welcome, whose head still tells history from news.
        this.#forgetConversation();
        return this.#emit("welcome", { head: this.#head });
      case "ping":
        this.#send({ t: "pong" });
        return;
      case "drain":
        this.#drain = frame.reconnect_after_ms;
        return;
    }
    this.#emit(frame.t, frame);
  }

  #refuse(frame) {
    const message = this.outbox.get(frame.cid);
    if (!message) return;
    message.tries += 1;
    if (!frame.final && message.tries < MOST_TRIES) {
      const first = this.#firstWaiting() === message;
      if (this.#oneByOne && !first) return; // it will be sent when it is its turn
      this.#oneByOne = true;
      clearTimeout(this.#timers.again);
      this.#timers.again = setTimeout(() => this.#next(), frame.retry_after_s * 1000);
      return;
    }
    message.failed = frame.code;
    message.final = frame.final ?? false;
    this.#keep(message);
    this.#emit("failed", frame);
    if (this.#oneByOne) this.#next();
  }

  #next() {
    clearTimeout(this.#timers.again);
    const message = this.#firstWaiting();
    if (message) this.#send(frameOf(message));
    else this.#oneByOne = false;
  }

  #firstWaiting() {
    for (const message of this.outbox.values()) if (!message.failed) return message;
    return undefined;
  }

  #acknowledge() {
    const ack = () => {
      clearTimeout(this.#timers.ack);
      this.#timers.ack = 0;
      this.#unacked = 0;
      this.#send({ t: "ack", cursor: this.#cursor });
    };
    this.#unacked += 1;
    if (this.#unacked >= ACK_EVENTS) ack();
    else this.#timers.ack ||= setTimeout(ack, ACK_MS);
  }

  #send(frame) {
    if (this.state !== "open" || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  #keep(message) {
    this.outbox.set(message.cid, message);
    save(`out.${message.cid}`, message);
  }

  #set(state) {
    if (state === this.state) return;
    this.state = state;
    this.#emit("state", { state });
  }

  #emit(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

function frameOf(message) {
  const frame = { t: "send", cid: message.cid, text: message.text, lang: message.lang };
  return message.request ? { ...frame, request: message.request } : frame;
}

function newId() {
  // Not crypto.randomUUID: pages without https have none.
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
