// What survives a reload: the browser's storage, or this page's memory where storage is forbidden.

const PREFIX = "contactbus.chat.";
const memory = new Map();

function storage() {
  try {
    return window.localStorage;
  } catch {
    return null; // blocked by the visitor's settings
  }
}

export function load(name) {
  try {
    const text = memory.get(name) ?? storage()?.getItem(PREFIX + name) ?? null;
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export function save(name, value) {
  const text = JSON.stringify(value);
  memory.set(name, text);
  try {
    storage()?.setItem(PREFIX + name, text);
  } catch {
    // full or forbidden: the copy in memory serves this page
  }
}

export function forget(name) {
  memory.delete(name);
  try {
    storage()?.removeItem(PREFIX + name);
  } catch {
    // see save
  }
}

/** Values of all names with a beginning. */
export function loadAll(beginning) {
  const names = new Set([...memory.keys()].filter((name) => name.startsWith(beginning)));
  const kept = storage();
  for (let place = 0; place < (kept?.length ?? 0); place++) {
    const name = kept.key(place);
    if (name.startsWith(PREFIX + beginning)) names.add(name.slice(PREFIX.length));
  }
  return [...names].map(load).filter((value) => value !== null);
}
