// What several views are made of.

import { ago, full } from "./clock.js";
import { h } from "./dom.js";
import { go, link } from "./place.js";

/** Rows of one page. */
export const ROWS = 100;

/** A word with a colour that says the same: `good`, `note`, `warning`, `bad` or `calm`. */
export function badge(tone, text) {
  return h("span", { class: `badge ${tone}` }, text);
}

/** What machines wrote: a name, an address, a path. */
export function code(text, attributes = {}) {
  return h("code", attributes, text);
}

/** A time, short, and in full for whoever points at it. */
export function time(timestamp) {
  return h("time", { datetime: timestamp, title: full(timestamp) }, ago(timestamp));
}

/** A number with its thousands set apart. */
export function number(value) {
  return Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
}

/** `1 route`, `2 routes`. */
export function many(count, one, several = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : several}`;
}

/** A view's head: its name, one line about it, and what it is asked by. */
export function heading(title, about, ...tools) {
  return h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), h("p", { class: "about", role: "status" }, about), ...tools);
}

/** Nothing to show, and why. */
export function nothing(text) {
  return h("p", { class: "nothing" }, text);
}

/**
 * A table. A column has a `title`, makes a `cell` of a row, and may have a `kind` for its looks; on narrow screens the
 * title stands beside each cell.
 */
export function table(caption, columns, rows, key, state = () => "") {
  const head = columns.map((column) => h("th", { scope: "col", class: column.kind ?? "" }, column.title));
  const line = (row) =>
    h("tr", { key: key(row), class: state(row) },
      columns.map((column) => h("td", { class: column.kind ?? "", "data-title": column.title }, column.cell(row))));
  return h("div", { class: "scroll" },
    h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map(line))));
}

let waiting;

/** A field to search by, kept in the parameter `q`. */
export function search(view, asked, label) {
  const oninput = (event) => {
    clearTimeout(waiting);
    const text = event.target.value;
    waiting = setTimeout(() => go(view, { ...Object.fromEntries(asked), q: text.trim(), page: "" }, true), 150);
  };
  return h("label", { class: "search" },
    h("span", { class: "unseen" }, label),
    h("input", { type: "search", name: "q", value: asked.get("q") ?? "", placeholder: label, autocomplete: "off", spellcheck: "false", oninput }));
}

/** A choice of `name` among `options`, each a value and what it is called. */
export function choice(view, asked, name, label, options) {
  const chosen = asked.get(name) ?? "";
  return h("div", { class: "choice", role: "group", "aria-label": label },
    options.map(([value, title]) =>
      h("a", {
        href: link(view, { ...Object.fromEntries(asked), [name]: value, page: "" }),
        "aria-current": value === chosen ? "true" : null,
      }, title)));
}

/** Where the page at hand begins in its list. */
export function offset(asked) {
  return (Math.max(1, Number.parseInt(asked.get("page") ?? "1", 10) || 1) - 1) * ROWS;
}

/** The way to other pages, where there are any. */
export function pager(view, asked, total) {
  const last = Math.max(1, Math.ceil(total / ROWS));
  const page = Math.min(last, offset(asked) / ROWS + 1);
  if (last === 1) return null;
  const step = (to, title) => {
    const there = to >= 1 && to <= last && to !== page;
    const href = there ? link(view, { ...Object.fromEntries(asked), page: to === 1 ? "" : to }) : null;
    return h("a", { href, "aria-disabled": there ? null : "true" }, title);
  };
  return h("nav", { class: "pager", "aria-label": "Pages" },
    step(1, "First"), step(page - 1, "Previous"), h("span", {}, `Page ${number(page)} of ${number(last)}`),
    step(page + 1, "Next"), step(last, "Last"));
}

const STATES = {
  ready: ["good", "ready"],
  draining: ["calm", "draining"],
  unhealthy: ["bad", "unhealthy"],
  aside: ["warning", "aside"],
};

/** An endpoint with its state. */
export function endpoint(it) {
  const [tone, word] = STATES[it.state] ?? ["calm", it.state];
  return h("li", { key: it.address, class: "endpoint" }, h("span", { class: `dot ${tone}`, "aria-hidden": "true" }), code(it.address),
    h("span", { class: tone === "good" ? "unseen" : `word ${tone}` }, word));
}

/** What a path pattern of the API says, in words and as it is compared. */
export function path(pattern) {
  const [kind, text] = pattern.startsWith("=") ? ["exact", pattern.slice(1)]
    : pattern.startsWith("~") ? ["regex", pattern.slice(1)]
    : pattern.endsWith("/*") || pattern === "*" ? ["prefix", pattern.replace(/\/?\*$/, "") || "/"]
    : ["beginning", pattern.slice(0, -1)];
  return h("span", { class: "path" }, code(text), kind === "prefix" ? null : h("span", { class: "kind" }, kind));
}

/** Whose and which rule it is. */
export function source(rule) {
  const [kind, name] = rule.route.split(" ", 2);
  const place = rule.ruleName ?? `rule ${rule.rule}${rule.matchIndex ? `, match ${rule.matchIndex}` : ""}`;
  return h("span", { class: "source" }, h("span", { class: "kind" }, kind), " ", code(name ?? ""), " ", h("span", { class: "where" }, place));
}
