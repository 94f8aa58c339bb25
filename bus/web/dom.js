// Building pages out of nodes. Text goes in as text; there is no way here to put markup in.

/** An element: attributes (`on…` listeners, `dataset`, booleans, null leaves out) and children (nodes, text, lists). */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A symbol of icons.svg. Beside words it is silent for readers of the screen; alone it needs a label. */
export function icon(name, label = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/assets/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

const CHANNEL_ICONS = { phone: "phone", email: "envelope", post: "letter", chat: "bubble", counter: "counter", link: "link" };

/** The symbol of a channel; one that we do not know gets the bubble. */
export function channelIcon(channel, label = "") {
  return icon(CHANNEL_ICONS[channel] || "bubble", label);
}

/** Replace what is inside, keeping the focus on the element with the same data-key and the place scrolled to. */
export function replaceInside(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const scrolled = parent.scrollTop;
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  parent.scrollTop = scrolled;
  if (focused) [...parent.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focused)?.focus({ preventScroll: true });
}
