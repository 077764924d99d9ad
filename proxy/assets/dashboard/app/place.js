// Where we are: the view and what it is asked for, kept in the fragment, so that links, reloads and "back" work.

/** The view's name and its parameters. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { view: path || "overview", asked: new URLSearchParams(query) };
}

/** A link to `view`. */
export function link(view, asked = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    for (const one of [value].flat()) {
      if (one !== "" && one !== null && one !== undefined) parameters.append(name, one);
    }
  }
  const query = parameters.toString();
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Goes there. `quietly` leaves no step behind that "back" would return to. */
export function go(view, asked = {}, quietly = false) {
  const there = link(view, asked);
  if (there === location.hash) return;
  if (quietly) {
    history.replaceState(null, "", there);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = there;
  }
}
