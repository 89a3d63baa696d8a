import type { Operation, SearchPage } from './description.ts';
import { stem, WordIndex, wordsOf } from './word-index.ts';

/** Of what is searched: id, method and path, summary, tags. */
const WEIGHTS = [8, 6, 4, 3] as const;
/** Said in queries and in nearly every summary; looked for only when nothing else is asked. */
const COMMON = new Set(['a', 'an', 'the', 'of', 'for', 'to', 'in', 'on', 'by', 'and', 'or', 'with', 'from', 'all']);
const MAX_WORDS = 32;

/** In lower case, as a whole: for queries that are an id, a path or a piece of one. `call` is `get /path`. */
type Entry = { operation: Operation; id: string; path: string; call: string; said: number };

const withoutStop = (sentence: string) => (sentence.endsWith('.') ? sentence.slice(0, -1) : sentence);

function isSummary(summary: string, whole: string): boolean {
  const near = Math.abs(summary.length - whole.length) <= 1;
  return near && withoutStop(summary.toLowerCase()) === withoutStop(whole);
}

function exactness({ operation, id, path, call }: Entry, whole: string): number {
  if (id === whole || path === whole || call === whole) return 3;
  if (isSummary(operation.summary, whole)) return 2;
  return whole.length > 2 && (id.startsWith(whole) || path.startsWith(whole)) ? 1 : 0;
}

const WORDS = 64;
/** Above the most that 32 words earn, 84 each. */
const SCORES = 4_096;
const LENGTHS = 4_096;
const POSITIONS = 2 ** 20;

/**
 * A rank as one whole number below 2^52, so that ranks are sorted as numbers are, without a function that compares:
 * exactness, then how many of the words are there, then what they earn; of two that have the same words, the one that
 * says little else; then the order of the description.
 */
function rank(exact: number, words: number, score: number, said: number, position: number): number {
  const brevity = LENGTHS - 1 - Math.min(said, LENGTHS - 1);
  return (((exact * WORDS + words) * SCORES + score) * LENGTHS + brevity) * POSITIONS + (POSITIONS - 1 - position);
}

function positionOf(ranked: number): number {
  return POSITIONS - 1 - (ranked % POSITIONS);
}

/** FNV-1a, 32 bits: tells one query and description from another, nothing more. */
function fingerprint(texts: Iterable<string>): string {
  let hash = 0x811c9dc5;
  for (const text of texts) {
    for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    hash = Math.imul(hash ^ 0xff, 0x01000193);
  }
  return (hash >>> 0).toString(36);
}

export class OperationSearch {
  readonly #entries: Entry[] = [];
  readonly #index = new WordIndex(WEIGHTS);
  #fingerprint = '';

  /** @param operations fewer than a million; taken up one by one */
  static *of(operations: readonly Operation[]): Generator<void, OperationSearch> {
    const search = new OperationSearch();
    for (const operation of operations) {
      search.#add(operation);
      yield;
    }
    search.#fingerprint = fingerprint(operations.map(({ id, summary }) => `${id} ${summary}`));
    return search;
  }

  #add(operation: Operation): void {
    const { id, method, path, summary, tags } = operation;
    const call = `${method} ${path}`;
    const [ofId = 0, ofCall = 0] = this.#index.add([id, call, summary, tags.join(' ')]);
    const said = ofId + ofCall;
    const lower = { id: id.toLowerCase(), path: path.toLowerCase(), call: call.toLowerCase() };
    this.#entries.push({ operation, ...lower, said });
  }

  search(query: string, { limit, cursor }: { limit: number; cursor?: string }): SearchPage {
    const whole = query.trim().toLowerCase();
    const key = fingerprint([this.#fingerprint, whole]);
    const start = cursor === undefined ? 0 : readCursor(cursor, key);
    if (start === undefined) {
      const message = 'is not of this query, or the description has changed: search again without a cursor.';
      return { ok: false, issue: { at: 'cursor', message } };
    }
    const found = this.#ranked(whole, query);
    const end = start + Math.max(1, Math.floor(limit));
    const page = { ok: true as const, operations: found.slice(start, end), total: found.length };
    return end < found.length ? { ...page, next_cursor: writeCursor(end, key) } : page;
  }

  #ranked(whole: string, query: string): Operation[] {
    const all = wordsOf(query);
    if (all.length === 0) return this.#entries.map(({ operation }) => operation);
    const telling = all.filter((word) => !COMMON.has(word));
    const words = [...new Set((telling.length > 0 ? telling : all).map(stem))].slice(0, MAX_WORDS);
    const scores = words.map((word) => this.#index.scores(word));
    const ranks = new Float64Array(this.#entries.length);
    let found = 0;
    for (const [position, entry] of this.#entries.entries()) {
      const exact = exactness(entry, whole);
      const earned = scores.map((of) => of[position] ?? 0).filter((score) => score > 0);
      if (exact === 0 && earned.length === 0) continue;
      const score = earned.reduce((sum, one) => sum + one, 0);
      ranks[found] = rank(exact, earned.length, score, entry.said, position);
      found += 1;
    }
    const sorted = ranks.subarray(0, found).sort().reverse();
    return Array.from(sorted, (ranked) => this.#entries[positionOf(ranked)]?.operation as Operation);
  }
}

function writeCursor(offset: number, key: string): string {
  return Buffer.from(`${offset}.${key}`).toString('base64url');
}

function readCursor(cursor: string, key: string): number | undefined {
  const [offset, of] = Buffer.from(cursor.slice(0, 100), 'base64url').toString().split('.');
  return of === key && /^\d{1,9}$/.test(offset ?? '') ? Number(offset) : undefined;
}
