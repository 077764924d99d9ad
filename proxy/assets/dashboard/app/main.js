// The page: which view is shown, and how it is kept up to date.

import { get, Refused } from "./api.js";
import { span } from "./clock.js";
import { h, show } from "./dom.js";
import { badge, nothing, number, time } from "./part.js";
import { link, place } from "./place.js";
import { themeSwitch } from "./theme.js";
import * as addresses from "./view/addresses.js";
import * as endpoints from "./view/endpoints.js";
import * as explain from "./view/explain.js";
import * as overview from "./view/overview.js";
import * as problems from "./view/problems.js";
import * as routes from "./view/routes.js";

/** Each has a `title`, `load`s what it shows, and makes a `view` of it. */
const VIEWS = { overview, routes, endpoints, addresses, problems, explain };

/** From one answer to the next question, in milliseconds; longer where answers take long. */
const PAUSE = 2_000;
const at = (id) => document.getElementById(id);
let round = new AbortController();
let next;
let answered = Date.now();
let shown;

async function refresh() {
  round.abort();
  round = new AbortController();
  clearTimeout(next);
  const mine = round;
  const begun = performance.now();
  const here = place();
  const view = VIEWS[here.view];
  menu(here.view);
  try {
    const [node, data] = await Promise.all([
      get("overview", {}, mine.signal),
      view?.load(here.asked, mine.signal),
    ]);
    if (mine.signal.aborted) return;
    answered = Date.now();
    show(at("trouble"));
    strip(node);
    menu(here.view, node);
    show(at("view"), view ? view.view(data, here.asked, node) : nothing("There is no such view."));
    arrive(here.view, view);
  } catch (error) {
    if (mine.signal.aborted) return;
    trouble(error);
  }
  // Nobody looks: nothing is asked until somebody does.
  if (!document.hidden) next = setTimeout(refresh, Math.max(PAUSE, 10 * (performance.now() - begun)));
}

/** The first time that a view is shown: its name becomes the page's, and where reading goes on. */
function arrive(name, view) {
  document.title = view ? `${view.title} · Postern` : "Postern";
  if (shown !== undefined && shown !== name) {
    scrollTo(0, 0);
    at("view").querySelector("h1")?.focus({ preventScroll: true });
  }
  shown = name;
}

function trouble(error) {
  const silent = `This node has not answered for ${span((Date.now() - answered) / 1000)}. What is shown may be out of date.`;
  show(at("trouble"), h("p", {}, error instanceof Refused ? `The node refuses: ${error.message}` : silent));
}

function menu(current, node) {
  const wrong = node ? node.objects.refused + node.objects.ignored + node.objects.warning + node.inputProblems + node.listeners.failed : 0;
  const item = ([name, view]) => {
    const count = name === "problems" && wrong > 0 ? h("span", { class: "count" }, number(wrong)) : null;
    return h("li", { key: name }, h("a", { href: link(name), "aria-current": name === current ? "page" : null }, view.title, count));
  };
  // Before there is an answer, what was counted stays.
  if (node || !at("menu").firstChild) show(at("menu"), h("ul", {}, Object.entries(VIEWS).map(item)));
  else for (const a of at("menu").querySelectorAll("a")) {
    if (a.hash === link(current)) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
}

function strip(node) {
  const state = node.draining ? badge("warning", "draining") : node.observing ? badge("note", "observing")
    : node.ready ? badge("good", "ready") : badge("bad", "not ready");
  show(at("node"),
    h("strong", {}, node.node), state,
    h("span", { class: "aside" }, `version ${node.version}`),
    h("span", { class: "aside" }, `plan ${number(node.generation)}`),
    node.lastChange ? h("span", { class: "aside" }, "changed ", time(node.lastChange)) : null);
}

/** `/` goes to the search of a view, as in many tools. */
function shortcut(event) {
  const typing = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = at("view").querySelector("input[type=search]");
  if (field) {
    event.preventDefault();
    field.focus();
    field.select();
  }
}

/** The skip link must not become a view. */
function skip(event) {
  event.preventDefault();
  at("content").focus();
}

themeSwitch(at("theme"));
document.querySelector(".skip").onclick = skip;
addEventListener("hashchange", refresh);
addEventListener("keydown", shortcut);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
refresh();
