const UNIT_MS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;
type Unit = keyof typeof UNIT_MS;

const WHOLE = /^(?:\d+(?:\.\d+)?(?:ms|[dhms]))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|[dhms])/g;

/** A hundred years: what is longer is a slip of the keyboard, and would overflow timestamps. */
const MAX_MS = 100 * 365 * UNIT_MS.d;

/**
 * Reads `60d`, `24h`, `30m`, `1h30m`, `45s`, `250ms`.
 * @returns milliseconds, or undefined when the text is not a positive duration: never zero by accident.
 */
export function parseDuration(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(PART)) total += Number(amount) * UNIT_MS[unit as Unit];
  return Number.isFinite(total) && total > 0 && total <= MAX_MS ? Math.round(total) : undefined;
}

/** Writes milliseconds as `5m0s`, `1h0m0s`, `45s`: the form of the refresher's start-up line. */
export function formatDuration(ms: number): string {
  if (ms < UNIT_MS.s) return `${ms}ms`;
  const hours = Math.floor(ms / UNIT_MS.h);
  const minutes = Math.floor((ms % UNIT_MS.h) / UNIT_MS.m);
  const seconds = (ms % UNIT_MS.m) / UNIT_MS.s;
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`;
  if (minutes > 0) return `${minutes}m${seconds}s`;
  return `${seconds}s`;
}
