/** A value as PostgreSQL writes it as text, in ISO dates, UTC and hexadecimal bytes; null is SQL's. */
export type Value = string | null;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const WHOLE_SECOND = /^\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d$/;
const FRACTION = /^\d{1,6}$/;
const HEXADECIMAL = /^[0-9a-f]*$/;
const INFINITE = new Set(['infinity', '-infinity']);

/** As `2026-01-31 10:42:00.123456+00`, with ` BC` behind it before the year 1. */
function isTimestamp(text: string): boolean {
  if (INFINITE.has(text)) return true;
  const common = text.endsWith(' BC') ? text.slice(0, -' BC'.length) : text;
  if (!common.endsWith('+00')) return false;
  const [second = '', fraction, ...more] = common.slice(0, -'+00'.length).split('.');
  return more.length === 0 && WHOLE_SECOND.test(second) && (fraction === undefined || FRACTION.test(fraction));
}

function isBytes(text: string): boolean {
  return text.startsWith('\\x') && text.length % 2 === 0 && HEXADECIMAL.test(text.slice(2));
}

function integer(bits: number): (text: string) => boolean {
  const limit = 2n ** BigInt(bits - 1);
  return (text) => /^-?\d{1,19}$/.test(text) && BigInt(text) >= -limit && BigInt(text) < limit;
}

export function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** By the names that `format_type` gives. */
const CHECKS = new Map<string, { holds(text: string): boolean; wanted: string }>([
  ['uuid', { holds: (text) => UUID.test(text), wanted: 'a uuid' }],
  ['bigint', { holds: integer(64), wanted: 'a whole number of 64 bits' }],
  ['integer', { holds: integer(32), wanted: 'a whole number of 32 bits' }],
  ['boolean', { holds: (text) => text === 'true' || text === 'false', wanted: 'true or false' }],
  ['bytea', { holds: isBytes, wanted: 'bytes in hexadecimal' }],
  ['timestamp with time zone', { holds: isTimestamp, wanted: 'a time in UTC' }],
  ['jsonb', { holds: isJson, wanted: 'JSON' }],
]);

/** What is wrong with a value of a file, or undefined; what it checks not, the database does. */
export function valueFault(type: string, value: unknown): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== 'string') return 'must be text or null';
  if (value.includes('\0') || !value.isWellFormed()) return 'holds a character that PostgreSQL cannot store';
  const check = CHECKS.get(type);
  return check === undefined || check.holds(value) ? undefined : `must be ${check.wanted}`;
}
