// What is not as asked, and the way out.

import { get } from "../api.js";
import { h } from "../dom.js";
import { ROWS, badge, choice, code, heading, many, nothing, offset, pager, search } from "../part.js";

export const title = "Problems";

const TONES = { refused: "bad", ignored: "warning", warning: "warning", note: "note" };
const VERDICTS = [["", "All"], ["refused", "Refused"], ["ignored", "Ignored"], ["warning", "Warnings"]];

export function load(asked, signal) {
  return get("problems", { q: asked.get("q"), verdict: asked.get("verdict"), offset: offset(asked), limit: ROWS }, signal);
}

export function view(all, asked) {
  const searched = asked.get("q") || asked.get("verdict");
  const { total, objects, input, skipped, listeners } = searched ? { ...all, input: [], skipped: [], listeners: [] } : all;
  const none = total + input.length + skipped.length + listeners.length === 0;
  return [
    heading("Problems", `${many(total, "object")}${searched ? (total === 1 ? " fits" : " fit") : ` with something refused, ignored or doubtful`}`,
      h("div", { class: "tools" }, search("problems", asked, "Search object, field or message"), choice("problems", asked, "verdict", "Verdict", VERDICTS))),
    h("ul", { class: "problems" },
      listeners.map((text) => plain(text, "listener", text)),
      input.map((one) => plain(`${one.file} ${one.line} ${one.reason}`, one.line ? `${one.file}:${one.line}` : one.file, one.message,
        one.lastGoodKept ? "What was read before is still served." : null)),
      skipped.map((one) => plain(`${one.kind} ${one.namespace}/${one.name}`, `${one.kind} ${one.namespace}/${one.name}`, one.message)),
      objects.map(object)),
    none ? nothing(searched ? "Nothing fits." : "Nothing: every object is in force as it is written.") : null,
    pager("problems", asked, total),
  ];
}

function plain(key, name, message, more) {
  return h("li", { key }, h("div", { class: "name" }, badge("bad", "refused"), code(name)), h("p", { class: "message" }, message), more ? h("p", { class: "aside" }, more) : null);
}

function object(it) {
  return h("li", { key: `${it.kind} ${it.namespace}/${it.name}` }, it.findings.filter((one) => one.severity !== "note").map((one, index) => finding(it, one, index > 0)));
}

/** One finding of an object, whose name is left out where it has just been said. */
export function finding(object, it, again = false) {
  const where = object.file ? h("span", { class: "where" }, `${object.file}:${it.line ?? object.line}`) : null;
  const name = again ? null : [h("span", { class: "kind" }, object.kind), code(object.namespace ? `${object.namespace}/${object.name}` : object.name)];
  return h("div", { class: "finding" },
    h("div", { class: "name" }, badge(TONES[it.severity] ?? "calm", it.severity), name, it.field ? code(it.field, { class: "field" }) : null, h("span", { class: "reason" }, it.reason), where),
    h("p", { class: "message" }, it.message),
    it.remedy ? h("p", { class: "remedy" }, h("span", { class: "label" }, "Remedy"), " ", it.remedy) : null);
}
