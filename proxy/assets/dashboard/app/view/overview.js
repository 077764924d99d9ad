// The node on one page: is it well, what does it carry, what is wrong first.

import { get } from "../api.js";
import { since, span } from "../clock.js";
import { h } from "../dom.js";
import { badge, code, heading, many, number, table } from "../part.js";
import { link } from "../place.js";
import { finding } from "./problems.js";

export const title = "Overview";

/** More problems than these are a view of their own. */
const FEW = 4;
/** Samples of traffic that are drawn, one an answer. */
const SAMPLES = 60;
const samples = [];

export async function load(_, signal) {
  const [listeners, problems] = await Promise.all([
    get("listeners", {}, signal),
    get("problems", { limit: FEW }, signal),
  ]);
  return { listeners, problems };
}

export function view({ listeners, problems }, _, node) {
  sample(node.traffic);
  const about = node.notReadyBecause ? `Not ready: ${node.notReadyBecause}` : `Serving for ${span(since(node.started))}.`;
  return [
    heading("Overview", about),
    h("div", { class: "tiles" }, traffic(), tiles(node)),
    first(problems),
    h("h2", {}, "Entry points"),
    table("Entry points", columns(node), listeners, (listener) => `${listener.name} ${listener.socket}`),
  ];
}

function sample(traffic) {
  const sum = (name) => traffic.reduce((total, one) => total + one[name], 0);
  const now = { at: performance.now(), requests: sum("requests"), errors: sum("serverErrors"), bytes: sum("bytesOut"), open: sum("open") };
  const last = samples.at(-1);
  // A view that is gone to and left again would draw slivers.
  if (last && now.at - last.at < 500) return;
  if (last && now.requests < last.requests) samples.length = 0;
  samples.push(now);
  if (samples.length > SAMPLES + 1) samples.shift();
}

function rates(name) {
  return samples.slice(1).map((now, index) => (1000 * (now[name] - samples[index][name])) / (now.at - samples[index].at));
}

function traffic() {
  const requests = rates("requests");
  const latest = requests.at(-1) ?? 0;
  const errors = rates("errors").at(-1) ?? 0;
  const share = latest > 0 ? `${((100 * errors) / latest).toFixed(errors ? 1 : 0)} % server errors` : "no requests at the moment";
  return h("div", { class: "tile wide", key: "traffic" },
    h("div", { class: "label" }, "Requests per second"),
    h("div", { class: "figure" }, latest < 10 ? latest.toFixed(1) : number(latest)),
    h("div", { class: errors ? "detail bad" : "detail" }, `${share}, ${many(samples.at(-1)?.open ?? 0, "connection")} open`),
    spark(requests));
}

function spark(values) {
  const most = Math.max(1, ...values);
  const step = 120 / (SAMPLES - 1);
  const from = 120 - (values.length - 1) * step;
  const points = values.map((value, index) => `${(from + index * step).toFixed(1)},${(27 - (25 * value) / most).toFixed(1)}`);
  return h("svg", { class: "spark", viewBox: "0 0 120 28", preserveAspectRatio: "none", "aria-hidden": "true" },
    h("polyline", { points: points.join(" ") }));
}

function tiles(node) {
  const { ready, unhealthy, aside, draining } = node.endpoints;
  const all = ready + unhealthy + aside + draining;
  const { refused, ignored, warning } = node.objects;
  const objects = Object.values(node.objects).reduce((sum, count) => sum + count, 0);
  const bad = refused + node.inputProblems + node.listeners.failed;
  const days = node.nextExpiry ? -since(node.nextExpiry) / 86_400 : undefined;
  return [
    tile("Rules", number(node.rules), `of ${many(objects, "object")}`, "routes"),
    tile("Endpoints ready", `${number(ready)} / ${number(all)}`,
      unhealthy + aside ? `${number(unhealthy)} unhealthy, ${number(aside)} aside` : `in ${many(node.clusters, "cluster")}`, "endpoints", {},
      unhealthy + aside ? "warning" : ""),
    tile("Addresses owned", `${number(node.addresses.owned)} / ${number(node.addresses.wanted)}`,
      node.addresses.wanted ? `${number(node.addresses.here)} by this node` : "none is announced", "addresses", {},
      node.addresses.owned < node.addresses.wanted ? "bad" : ""),
    tile("Certificates", number(node.certificates),
      days === undefined ? "none is served" : days < 0 ? "one has expired" : `next ends in ${span(days * 86_400)}`, undefined, {},
      days !== undefined && days < 7 ? (days < 0 ? "bad" : "warning") : ""),
    tile("Problems", number(bad + ignored + warning),
      wrong(bad, ignored, warning), "problems", {},
      bad ? "bad" : ignored + warning ? "warning" : "good"),
  ];
}

function wrong(bad, ignored, warning) {
  const parts = [[bad, "refused"], [ignored, "ignored"], [warning, warning === 1 ? "warning" : "warnings"]];
  return parts.filter(([count]) => count).map(([count, word]) => `${number(count)} ${word}`).join(", ") || "all is in force";
}

function tile(label, figure, detail, view, asked = {}, tone = "") {
  const inside = [h("div", { class: "label" }, label), h("div", { class: "figure" }, figure), h("div", { class: `detail ${tone}` }, detail)];
  return view ? h("a", { class: "tile", href: link(view, asked), key: label }, inside) : h("div", { class: "tile", key: label }, inside);
}

function first({ objects, total, input, listeners }) {
  const plain = [...listeners, ...input.map((one) => `${one.file}: ${one.message}`)].slice(0, FEW);
  if (objects.length + plain.length === 0) return null;
  return [
    h("h2", {}, "What is wrong"),
    h("ul", { class: "problems short" },
      plain.map((text) => h("li", { key: text }, h("div", { class: "name" }, badge("bad", "refused"), text))),
      objects.map((object) => h("li", { key: `${object.kind} ${object.namespace}/${object.name}` }, finding(object, object.findings[0])))),
    total > objects.length ? h("p", { class: "more" }, h("a", { href: link("problems") }, `All ${number(total)} objects with problems`)) : null,
  ];
}

function columns(node) {
  const counted = new Map(node.traffic.map((one) => [one.entryPoint, one]));
  const count = (listener, name) => number(counted.get(listener.name)?.[name] ?? 0);
  return [
    { title: "Name", cell: (listener) => code(listener.name) },
    { title: "State", cell: (listener) => state(listener, node) },
    { title: "Bound to", cell: (listener) => addresses(listener) },
    { title: "Speaks", cell: (listener) => (listener.transport === "tls" ? "TLS" : "plain") },
    { title: "Hosts", kind: "number", cell: (listener) => number(listener.hosts) },
    { title: "Requests", kind: "number", cell: (listener) => count(listener, "requests") },
    { title: "Open", kind: "number", cell: (listener) => count(listener, "open") },
  ];
}

function state(listener, node) {
  if (listener.problems.length) return [badge("bad", "not bound"), ...listener.problems.map((why) => h("div", { class: "why" }, why))];
  if (listener.bound.length) return badge("good", "bound");
  return node.observing ? badge("note", "observing") : badge("warning", "waiting");
}

function addresses(listener) {
  if (listener.bound.length === 0) return h("span", { class: "aside" }, "nowhere, asked for ", code(listener.socket));
  return h("ul", { class: "inline" }, listener.bound.map((address) => h("li", { key: address }, code(address))));
}
