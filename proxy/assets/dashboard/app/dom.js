// Elements from plain values, and a way to bring what is shown in line with what should be.
//
// Text is a text node and nothing else: whatever an object is called, it cannot become markup.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = new Set(["svg", "path", "polyline", "line", "circle", "rect", "title"]);

/** An element. Of `attributes`, `key` says which of several alike it is, and functions are listeners (`onclick`). */
export function h(tag, attributes = {}, ...children) {
  const element = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "key") {
      element.key = String(value);
    } else if (typeof value === "function") {
      element[name] = value;
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...nodes(children));
  return element;
}

/** Makes `children` the content of `place`. What is there already stays, so that focus, selection and scroll do too. */
export function show(place, ...children) {
  patch(place, nodes(children));
}

function nodes(children) {
  const flat = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return flat.map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

function patch(parent, wanted) {
  const keyed = new Map();
  for (const child of parent.childNodes) {
    if (child.key !== undefined) keyed.set(child.key, child);
  }
  let at = parent.firstChild;
  for (const node of wanted) {
    const old = node.key === undefined ? at : keyed.get(node.key);
    if (old && old.key === node.key && old.nodeName === node.nodeName) {
      if (old === at) at = at.nextSibling;
      else parent.insertBefore(old, at);
      keyed.delete(node.key);
      update(old, node);
    } else {
      parent.insertBefore(node, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function update(old, node) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== node.data) old.data = node.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    // Whoever looks decides what is unfolded.
    if (!node.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...node.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of ["onclick", "oninput", "onchange", "onsubmit", "onkeydown"]) {
    if (old[name] !== node[name]) old[name] = node[name];
  }
  patch(old, [...node.childNodes]);
  // After the options of a choice are there. What is being typed is not touched.
  if ("value" in old && old.value !== node.value && old !== document.activeElement) old.value = node.value;
}
