// Virtual addresses: who answers for each, and why nobody else does.

import { get } from "../api.js";
import { span } from "../clock.js";
import { h } from "../dom.js";
import { badge, code, heading, many, nothing, number, table } from "../part.js";

export const title = "Addresses";

export function load(_, signal) {
  return get("vips", {}, signal);
}

export function view(it) {
  const about = it.enabled ? `${many(it.vips.length, "virtual address", "virtual addresses")}. This node is ${it.readiness}.` : "Announcing is none of this process's roles.";
  return [
    heading("Addresses", about),
    it.problem ? h("p", { class: "banner" }, `Nothing is announced from here: ${it.problem}`) : null,
    it.vips.length ? table("Virtual addresses", columns(it.node), it.vips, (vip) => vip.address, (vip) => (vip.owner ? "" : "wrong"))
      : nothing("There is nothing to announce: no Gateway, entry point or Service asks for an address of a pool."),
    it.peers.length ? [h("h2", {}, "Nodes that are heard"), table("Nodes that are heard", PEERS, it.peers, (peer) => peer.node)] : null,
  ];
}

const columns = (node) => [
  { title: "Address", cell: (vip) => code(vip.address, { class: "host" }) },
  { title: "Owner", cell: (vip) => owner(vip, node) },
  { title: "MAC", cell: (vip) => (vip.mac ? code(vip.mac) : h("span", { class: "aside" }, "unknown")) },
  { title: "Epoch", kind: "number", cell: (vip) => number(vip.epoch) },
  { title: "Here", cell: (vip) => [vip.state, vip.interfaces.length ? h("div", { class: "aside" }, `on ${vip.interfaces.join(", ")}`) : null] },
  { title: "Why no other node", cell: (vip) => others(vip) },
  { title: "Whose", cell: (vip) => [h("span", { class: "kind" }, vip.purpose), h("ul", { class: "plain" }, vip.of.map((of) => h("li", { key: of }, of)))] },
];

function owner(vip, node) {
  const lasts = h("div", { class: "aside" }, `for ${span(vip.sinceSeconds)}`);
  if (!vip.owner) return [badge("bad", "nobody"), lasts];
  const taken = vip.takeover
    ? h("div", { class: "aside" }, `taken over from ${vip.takeover.from ?? "nobody"}, ${span(vip.takeover.secondsAgo)} ago, after ${vip.takeover.durationSeconds.toFixed(3)} s`) : null;
  const conflict = vip.conflict
    ? h("div", { class: "why" }, `conflict with ${vip.conflict.mac} (${vip.conflict.node ?? "no node of ours"}), ${span(vip.conflict.secondsAgo)} ago`) : null;
  return [code(vip.owner), " ", vip.owner === node ? badge("good", "this node") : null, lasts, taken, conflict];
}

function others(vip) {
  if (vip.others.length === 0) return h("span", { class: "aside" }, "there is no other candidate");
  return h("ul", { class: "plain" }, vip.others.map((other) => h("li", { key: other.node }, code(other.node), ` ${other.why}`)));
}

const PEERS = [
  { title: "Node", cell: (peer) => code(peer.node) },
  { title: "Readiness", cell: (peer) => badge(peer.readiness === "ready" ? "good" : "warning", peer.readiness) },
  { title: "Heard", cell: (peer) => `${peer.heardSecondsAgo.toFixed(1)} s ago` },
];
