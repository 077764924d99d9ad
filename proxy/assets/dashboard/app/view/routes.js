// Every rule with its place in the tables, searched by the node: here is never more than a page of them.

import { get } from "../api.js";
import { h } from "../dom.js";
import { ROWS, badge, choice, code, endpoint, heading, many, nothing, offset, pager, path, search, source, table } from "../part.js";
import { link } from "../place.js";

export const title = "Routes";

export function load(asked, signal) {
  return get("routes", { q: asked.get("q"), state: asked.get("state"), offset: offset(asked), limit: ROWS }, signal);
}

export function view({ total, items }, asked) {
  const searched = asked.get("q") || asked.get("state");
  return [
    heading("Routes", many(total, searched ? "rule fits" : "rule", searched ? "rules fit" : "rules"),
      h("div", { class: "tools" },
        search("routes", asked, "Search host, path, object, middleware or backend"),
        choice("routes", asked, "state", "State", [["", "All"], ["open", "Open"], ["closed", "Closed"]]))),
    items.length
      ? table("Routes", COLUMNS, items, (row) => [row.listener, row.port, row.host, row.path, row.route, row.rule, row.matchIndex].join(" "),
        (row) => (row.closed ? "wrong" : ""))
      : nothing(searched ? "No rule fits." : "There are no rules: no object asks for any, or none could be taken. Problems say why."),
    pager("routes", asked, total),
  ];
}

const COLUMNS = [
  { title: "Entry point", cell: (row) => code(row.listener) },
  { title: "Host", cell: (row) => code(row.host, { class: "host" }) },
  { title: "Path", cell: (row) => [path(row.path), row.conditions.map((condition) => h("div", { class: "condition" }, condition))] },
  { title: "Middlewares", cell: (row) => steps(row.steps) },
  { title: "Leads to", cell: (row) => outcome(row.outcome, row.closed) },
  { title: "Object", cell: (row) => [source(row), h("a", { class: "ask", href: link("explain", { url: example(row) }) }, "explain")] },
];

/** What happens before the outcome, in order. */
export function steps(all) {
  if (all.length === 0) return h("span", { class: "aside" }, "none");
  const step = (it) =>
    h("li", {}, h("span", { class: it.refused ? "kind bad" : "kind" }, it.kind), it.middleware ? [" ", code(it.middleware)] : null,
      it.refused ? h("div", { class: "why" }, it.refused) : null);
  return h("ol", { class: "steps" }, all.map(step));
}

/** The end of a rule; `closed` says that nobody is served. Steps and backends say why. */
export function outcome(it, closed = undefined) {
  if (it.kind === "redirect") return badge("calm", `redirect ${it.status}`);
  if (it.kind === "closed") return [badge("bad", `closed, ${it.status}`), h("div", { class: "why" }, it.reason)];
  return [closed ? badge("bad", "closed") : null, backends(it.backends)];
}

/** Where requests go, by weight. */
export function backends(all) {
  const sum = all.reduce((total, one) => total + one.weight, 0);
  const share = (one) => (all.length > 1 ? h("span", { class: "share" }, sum ? `${Math.round((100 * one.weight) / sum)} %` : "0 %") : null);
  return h("ul", { class: "backends" }, all.map((one) =>
    h("li", {}, share(one), one.cluster ? code(one.cluster) : null,
      one.internal ? h("div", { class: "aside" }, "Postern itself")
        : one.refused || !one.endpoints.length ? h("div", { class: "why" }, one.refused ?? "no endpoint")
        : h("ul", { class: "endpoints" }, one.endpoints.map(endpoint)))));
}

/** A request that the rule may be meant for. */
function example(row) {
  const scheme = row.transport === "tls" ? "https" : "http";
  const host = row.host === "*" ? "any.example" : row.host.replace(/^\*+\./, "any.");
  const port = row.port === (scheme === "https" ? 443 : 80) ? "" : `:${row.port}`;
  const target = row.path.startsWith("~") ? "/" : row.path.replace(/^=/, "").replace(/\/?\*$/, "") || "/";
  return `${scheme}://${host}${port}${target}`;
}
