import type { ClientOutput } from '../api/wire.ts';

type RefreshedOutcome = ClientOutput<'reacquireOAuth'>['outcome'];

const REFRESHED: Record<RefreshedOutcome, string> = {
  refreshed: 'The token was refreshed',
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

export function factText(value: unknown): string {
  if (value === null || value === undefined) return '–';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
