// Times as people read them, by the node's clock: that of whoever looks may be wrong.

const WRONG = 2_000;
let ahead = 0;

/** Takes the node's time from the Date of an answer. */
export function note(date) {
  const difference = date ? Date.parse(date) - Date.now() : NaN;
  if (!Number.isNaN(difference)) ahead = Math.abs(difference) > WRONG ? difference : 0;
}

/** Seconds since `timestamp`; less than 0 when it is to come. */
export function since(timestamp) {
  return (Date.now() + ahead - Date.parse(timestamp)) / 1000;
}

/** `12 s`, `5 min`, `3 h 20 min`, `41 d`. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 10) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} d`;
}

/** `5 min ago`, or `now`. */
export function ago(timestamp) {
  const seconds = since(timestamp);
  return seconds < 2 ? "now" : `${span(seconds)} ago`;
}

/** A time in full, where the short form is shown. */
export function full(timestamp) {
  const time = new Date(timestamp);
  return Number.isNaN(time.valueOf()) ? timestamp : time.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}
