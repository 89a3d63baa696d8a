import type { ClientOutput } from '../api/wire.ts';

type RefreshedOutcome = ClientOutput<'reacquireOAuth'>['outcome'];

const REFRESHED: Record<RefreshedOutcome, string> = {
  refreshed: 'A new token has come',
  current: 'The token was fresh already: another attempt had just renewed it',
};

export function refreshedWords(outcome: RefreshedOutcome): string {
  return REFRESHED[outcome];
}

/** `protocol_version` → «Protocol version». */
export function factLabel(key: string): string {
  const words = key.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `{ trials: [{ method: 'a', verdict: 'refused' }] }` → «a refused»; whatever else is nested, as it is written. */
export function factText(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value !== 'object') return String(value);
  const trials = trialsOf(value);
  if (trials.length === 0) return JSON.stringify(value);
  return trials.map(({ method, verdict }) => `${method} ${verdict}`).join(', ');
}

type Trial = { method: string; verdict: string };

function trialsOf(value: object): Trial[] {
  const { trials }: { trials?: unknown } = value;
  return Array.isArray(trials) && trials.every(isTrial) ? trials : [];
}

function isTrial(value: unknown): value is Trial {
  return typeof value === 'object' && value !== null && 'method' in value && 'verdict' in value;
}
