const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const STEPS = [
  { below: MINUTE, unit: 'second', size: 1 },
  { below: HOUR, unit: 'minute', size: MINUTE },
  { below: DAY, unit: 'hour', size: HOUR },
  { below: 45 * DAY, unit: 'day', size: DAY },
  { below: 540 * DAY, unit: 'month', size: 30 * DAY },
  { below: Number.POSITIVE_INFINITY, unit: 'year', size: 365 * DAY },
] as const;

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' });
const absolute = new Intl.DateTimeFormat('en-GB', {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  timeZoneName: 'short',
});

/** «in 4 minutes», «2 hours ago»; within five seconds either way it is «now». */
export function relativeTime(iso: string, now: number): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  if (Number.isNaN(seconds)) return 'at an unknown time';
  const distance = Math.abs(seconds);
  if (distance < 5) return 'just now';
  const step = STEPS.find(({ below }) => distance < below) ?? STEPS[5];
  // Towards zero: «in 4 minutes» must not be read as five by whoever has to act before then.
  return relative.format(Math.trunc(seconds / step.size), step.unit);
}

export function absoluteTime(iso: string): string {
  const instant = Date.parse(iso);
  return Number.isNaN(instant) ? iso : absolute.format(instant);
}

/** «830 ms», «12.4 s». */
export function durationText(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

const ISO = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

/** A sentence of the server, with the instants in it as a person here reads them. */
export function localSentence(text: string): string {
  return text.replace(ISO, absoluteTime);
}
