import { shortened } from './document-node.ts';
import type { SchemaType } from './schema-facts.ts';

const NAMES: Record<SchemaType, string> = {
  string: 'a text',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  null: 'null',
};

const MAX_CHOICES = 20;

export function typeNames(types: readonly SchemaType[]): string {
  return types.map((type) => NAMES[type]).join(' or ');
}

/** A value as an error message shows it. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value === 'string') return `the text ${JSON.stringify(shortened(value, 60))}`;
  return String(value);
}

export function choices(values: readonly unknown[]): string {
  const some = values.slice(0, MAX_CHOICES).map((value) => JSON.stringify(value));
  const more = values.length - some.length;
  return more > 0 ? `${some.join(', ')} and ${more} more` : some.join(', ');
}

/** Letters to change, add, leave out or swap with their neighbour (optimal string alignment). */
function distance(one: string, other: string): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= other.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      const swap = swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[other.length] ?? 0;
}

const folded = (name: string) => name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');

/** The known name that was probably meant: the same letters, or a third of them wrong at most. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (name.length > 100) return undefined;
  const wanted = folded(name);
  let best: { candidate: string; off: number } | undefined;
  for (const candidate of known) {
    if (candidate.length > 100) continue;
    const off = distance(wanted, folded(candidate));
    if (off <= Math.floor(wanted.length / 3) && (best === undefined || off < best.off)) {
      best = { candidate, off };
    }
  }
  return best?.candidate;
}
