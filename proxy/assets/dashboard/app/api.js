// Questions to the admin API. There is one kind: GET.

import { note } from "./clock.js";

const PATIENCE = 10_000;
/** Where the page lies, without the folder that Traefik's dashboard has: a route may have put a prefix before both. */
const BASE = new URL(location.pathname.replace(/dashboard\/$/, ""), location.origin);

/** The answer to `path` below /api/v1, as it was parsed. Parameters that are empty are left out; arrays are repeated. */
export async function get(path, parameters = {}, signal = undefined) {
  const url = new URL(`api/v1/${path}`, BASE);
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) {
      if (one !== "" && one !== null && one !== undefined) url.searchParams.append(name, one);
    }
  }
  const signals = [AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])];
  const answer = await fetch(url, { signal: AbortSignal.any(signals), headers: { accept: "application/json" } });
  note(answer.headers.get("date"));
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.error ?? answer.statusText);
  return body;
}

/** The node has answered, and says why it does not answer this. */
export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}
