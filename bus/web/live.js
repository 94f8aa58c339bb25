// A live feed that knows when it is cut off, says so, and goes on where it stopped.

const SILENCE_MS = 25_000; // the server speaks every 10 s; after 2.5 times that the line is dead
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/**
 * Server-sent events with resume. Dispatches `open`, `lost` and one event per kind named in `kinds`, whose `detail` is
 * the decoded data. After a break it asks for everything after the last id that it has seen.
 */
export class LiveFeed extends EventTarget {
  #url;
  #kinds;
  #source = null;
  #lastId = "";
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #watchdog = 0;
  online = false;

  constructor(url, kinds) {
    super();
    this.#url = url;
    this.#kinds = kinds;
    const again = () => {
      if (!this.online && document.visibilityState === "visible") this.#connect();
    };
    addEventListener("online", again);
    addEventListener("pageshow", again);
    document.addEventListener("visibilitychange", again);
    addEventListener("offline", () => this.#lose());
  }

  start() {
    this.#connect();
  }

  stop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#watchdog);
    this.#source?.close();
    this.#source = null;
  }

  #connect() {
    this.stop();
    const address = new URL(this.#url, location.href);
    if (this.#lastId) address.searchParams.set("after", this.#lastId);
    const source = (this.#source = new EventSource(address));
    const heard = (event) => {
      if (event.lastEventId) this.#lastId = event.lastEventId;
      clearTimeout(this.#watchdog);
      this.#watchdog = setTimeout(() => this.#lose(), SILENCE_MS);
    };
    source.addEventListener("ready", (event) => {
      heard(event);
      this.online = true;
      this.#wait = FIRST_WAIT_MS;
      this.dispatchEvent(new Event("open"));
    });
    source.addEventListener("beat", heard);
    for (const kind of this.#kinds) {
      source.addEventListener(kind, (event) => {
        heard(event);
        this.dispatchEvent(new CustomEvent(kind, { detail: JSON.parse(event.data) }));
      });
    }
    source.onerror = () => this.#lose();
  }

  #lose() {
    this.stop();
    const had = this.online;
    this.online = false;
    if (had) this.dispatchEvent(new Event("lost"));
    // Full jitter: after a restart of the server a thousand desks do not come back in the same moment.
    this.#timer = setTimeout(() => this.#connect(), FIRST_WAIT_MS + Math.random() * this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }
}

/** The red bar that shows at once when a feed is lost. Its words come from the caller, in the reader's language. */
export function offlineBar(feed, words) {
  const bar = document.createElement("div");
  bar.className = "offline-bar";
  bar.setAttribute("role", "alert");
  bar.hidden = true;
  feed.addEventListener("lost", () => {
    bar.textContent = words();
    bar.hidden = false;
  });
  feed.addEventListener("open", () => {
    bar.hidden = true;
    bar.textContent = "";
  });
  document.body.prepend(bar);
  return bar;
}
