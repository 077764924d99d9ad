// Which rule a request would take, and why no other: what `postern explain` prints.

import { get, Refused } from "../api.js";
import { h } from "../dom.js";
import { badge, code, heading, nothing, path, source, table } from "../part.js";
import { go } from "../place.js";
import { backends, outcome, steps } from "./routes.js";

export const title = "Explain";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export async function load(asked, signal) {
  if (!asked.get("url")) return {};
  const question = Object.fromEntries(asked);
  question.header = asked.getAll("header");
  try {
    return { answer: await get("explain", question, signal) };
  } catch (error) {
    if (error instanceof Refused) return { refused: error.message };
    throw error;
  }
}

export function view({ answer, refused }, asked) {
  return [
    heading("Explain", "What a request would meet, by the look-up of the data plane itself. Nothing is sent."),
    form(asked),
    refused ? h("p", { class: "banner", role: "alert" }, refused) : null,
    answer ? h("div", { class: "explained", "aria-live": "polite" }, verdict(answer), h("ol", { class: "way" }, way(answer)), losers(answer))
      : refused ? null : nothing("Give the URL of a request, as a client would send it."),
  ];
}

function form(asked) {
  const field = (label, control, kind = "") => h("label", { class: `field ${kind}` }, h("span", {}, label), control);
  const text = (name, example, value = asked.get(name) ?? "") => h("input", { name, value, placeholder: example, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const chosen = asked.get("method") ?? "GET";
  const methods = METHODS.includes(chosen) ? METHODS : [...METHODS, chosen];
  const headers = asked.getAll("header").join("\n");
  return h("form", { class: "question", onsubmit: submit },
    field("Method", h("select", { name: "method" }, methods.map((name) => h("option", { value: name, selected: name === chosen }, name)))),
    field("URL", text("url", "https://shop.example.com/cart?x=1"), "url"),
    field("Client address", text("from", "127.0.0.1")),
    field("Headers, one a line", h("textarea", { name: "header", rows: "2", placeholder: "Name: value", spellcheck: "false" }, headers), "headers"),
    h("button", { type: "submit" }, "Explain"));
}

function submit(event) {
  event.preventDefault();
  const said = new FormData(event.target);
  const header = said.get("header").split("\n").map((line) => line.trim()).filter(Boolean);
  const method = said.get("method") === "GET" ? "" : said.get("method");
  go("explain", { url: said.get("url").trim(), from: said.get("from").trim(), header, ...(method && { method }) });
}

function verdict({ outcome: it, losersLeftOut, losers }) {
  const others = losers.length + losersLeftOut;
  if (it.kind === "refused") return h("p", { class: "verdict" }, badge("bad", it.status ? `answered ${it.status}` : "no connection"), " ", it.reason);
  if (it.kind === "passthrough") return h("p", { class: "verdict" }, badge("note", "passed through"), " ", code(it.owner));
  return h("p", { class: "verdict" }, badge("good", "wins"), " ", source(it), others ? ` against ${others} ${others === 1 ? "other" : "others"}` : "");
}

function way({ request, listener, tls, outcome: it }) {
  const stage = (name, ...what) => h("li", { key: name }, h("div", { class: "stage" }, name), h("div", { class: "what" }, ...what));
  const stages = [
    stage("Request", code(`${request.method} ${request.url}`),
      request.host ? h("div", { class: "aside" }, "matched as ", code(`${request.host}${request.path}${request.query ? `?${request.query}` : ""}`), ", client ", code(request.client)) : null),
  ];
  if (listener) stages.push(stage("Entry point", code(listener.name), ` ${listener.transport === "tls" ? "TLS" : "plain"} on `, code(listener.socket)));
  if (tls) {
    stages.push(stage("TLS", tls.pattern ? [code(tls.pattern), tls.owner ? h("span", { class: "aside" }, ` of ${tls.owner}`) : null] : "no server name fits",
      h("div", { class: "aside" }, tls.certificates.length ? ["certificate ", tls.certificates.map((id) => [code(id), " "])] : "the default certificate")));
  }
  if (it.kind === "route") {
    stages.push(stage("Rule", code(it.host, { class: "host" }), " ", path(it.path), it.conditions.map((condition) => h("div", { class: "condition" }, condition))));
    stages.push(stage("Middlewares", steps(it.steps)));
    stages.push(stage("Leads to", outcome(it.outcome)));
  } else if (it.kind === "passthrough") {
    stages.push(stage("Leads to", backends(it.backends)));
  } else {
    stages.push(stage("Answer", badge("bad", it.status ? String(it.status) : "none"), ` ${it.reason}`));
  }
  return stages;
}

function losers({ losers: all, losersLeftOut: more }) {
  if (all.length === 0) return null;
  return [
    h("h2", {}, "Why no other"),
    table("Rules that did not take the request", LOSERS, all, (loser) => [loser.route, loser.rule, loser.matchIndex, loser.host, loser.path].join(" ")),
    more ? h("p", { class: "more" }, `${more} more are not shown.`) : null,
  ];
}

const LOSERS = [
  { title: "Object", cell: (loser) => source(loser) },
  { title: "Host", cell: (loser) => code(loser.host, { class: "host" }) },
  { title: "Path", cell: (loser) => path(loser.path) },
  { title: "Why not", cell: (loser) => loser.reason },
];
