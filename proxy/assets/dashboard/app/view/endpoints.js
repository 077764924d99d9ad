// Clusters and the health of their endpoints.

import { get } from "../api.js";
import { h } from "../dom.js";
import { ROWS, badge, choice, code, endpoint, heading, many, nothing, number, offset, pager, search } from "../part.js";

export const title = "Endpoints";

const STATES = [["", "All"], ["ready", "Ready"], ["unhealthy", "Unhealthy"], ["aside", "Aside"], ["draining", "Draining"], ["empty", "Empty"], ["refused", "Refused"]];

export function load(asked, signal) {
  return get("clusters", { q: asked.get("q"), state: asked.get("state"), offset: offset(asked), limit: ROWS }, signal);
}

export function view({ total, items }, asked) {
  const searched = asked.get("q") || asked.get("state");
  return [
    heading("Endpoints", `${many(total, searched ? "cluster fits" : "cluster", searched ? "clusters fit" : "clusters")}. Unhealthy: probes fail. Aside: requests failed.`,
      h("div", { class: "tools" }, search("endpoints", asked, "Search cluster or address"), choice("endpoints", asked, "state", "State", STATES))),
    items.length ? h("div", { class: "clusters" }, items.map(cluster)) : nothing(searched ? "No cluster fits." : "There are no clusters: no rule leads to a backend."),
    pager("endpoints", asked, total),
  ];
}

function cluster(it) {
  const facts = it.refused ? [badge("bad", "refused")]
    : [it.protocol, it.tls ? "TLS" : null, it.balance, it.probed ? "probed" : null].filter(Boolean).map((fact) => h("span", { class: "fact" }, fact));
  return h("section", { key: it.id, class: it.refused || !it.endpoints.length ? "cluster wrong" : "cluster" },
    h("h2", {}, code(it.id)), h("div", { class: "facts" }, facts),
    it.refused ? h("p", { class: "why" }, it.refused) : it.endpoints.length ? members(it) : h("p", { class: "why" }, "It has no endpoint."));
}

function members(it) {
  const line = (one) =>
    h("tr", { key: one.address },
      h("td", {}, h("ul", { class: "endpoints" }, endpoint(one))),
      h("td", { class: "number", "data-title": "Weight" }, number(one.weight)),
      h("td", { class: "number", "data-title": "Under way" }, number(one.inFlight)),
      h("td", { class: "number", "data-title": "Requests" }, number(one.requests)));
  const title = (text, kind = "number") => h("th", { scope: "col", class: kind }, text);
  return h("table", { class: "members" }, h("caption", {}, `Endpoints of ${it.id}`),
    h("thead", {}, h("tr", {}, title("Endpoint", ""), title("Weight"), title("Under way"), title("Requests"))),
    h("tbody", {}, it.endpoints.map(line)));
}
