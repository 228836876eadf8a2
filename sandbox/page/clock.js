// The sandbox's clock, and Discord's timestamps in the reader's time zone.

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const FORMATS = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
  s: { dateStyle: "short", timeStyle: "short" },
  S: { dateStyle: "short", timeStyle: "medium" },
};
const LONGEST_DATE_MS = 8.64e15;

export class Clock {
  #offset = 0;

  /** Milliseconds since 1970 on the sandbox's clock. */
  now() {
    return Date.now() + this.#offset;
  }

  set(now_ms) {
    this.#offset = now_ms - Date.now();
  }
}

export function isDate(unix) {
  return Number.isFinite(unix) && Math.abs(unix * 1000) <= LONGEST_DATE_MS;
}

/** "in 12 seconds", "2 hours ago". */
export function relative(unix, now_ms) {
  const seconds = Math.round(unix - now_ms / 1000);
  if (seconds === 0) return "now";
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  const count = Math.trunc(seconds / size);
  return new Intl.RelativeTimeFormat("en", { numeric: "always" }).format(count, unit);
}

/** The text of `<t:unix:style>`: for R relative to now, else a date or time in the reader's zone and language. */
export function stamp(unix, style, now_ms) {
  if (style === "R") return relative(unix, now_ms);
  return new Intl.DateTimeFormat(undefined, FORMATS[style] ?? FORMATS.f).format(new Date(unix * 1000));
}

export function fullDate(date) {
  return new Intl.DateTimeFormat(undefined, FORMATS.F).format(date);
}

export function dayOf(date) {
  return new Intl.DateTimeFormat(undefined, FORMATS.D).format(date);
}

export function timeOf(date) {
  return new Intl.DateTimeFormat(undefined, FORMATS.t).format(date);
}

/** Updates all timestamps on the page once a second; returns a function that does it at once. */
export function startCounting(clock) {
  const tick = () => {
    for (const node of document.querySelectorAll("time[data-unix]")) {
      const words = stamp(Number(node.dataset.unix), node.dataset.style, clock.now());
      if (node.textContent !== words) node.textContent = words;
    }
  };
  setInterval(tick, 1000);
  return tick;
}
