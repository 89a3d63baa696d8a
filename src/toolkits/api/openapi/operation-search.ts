import type { Operation, SearchPage } from './description.ts';

/** The fields that are searched, in the order of their weight. */
type Entry = {
  operation: Operation;
  /** Lower case, as a whole: for queries that are an id, a path or a piece of one. */
  id: string;
  path: string;
  /** `get /path`. */
  call: string;
  /** `words` are their stems with a space on either side, to be looked through as one text. */
  fields: { words: string; count: number; text: string; weight: number }[];
};

const WEIGHTS = { id: 8, path: 6, summary: 4, tags: 3 };
/** How much of a field's weight a word earns there. */
const EXACT = 4;
const BEGINNING = 2;
const INSIDE = 1;
/** Said in queries and in nearly every summary; looked for only when nothing else is asked. */
const COMMON = new Set(['a', 'an', 'the', 'of', 'for', 'to', 'in', 'on', 'by', 'and', 'or', 'with', 'from', 'all']);

/** Words in lower case: `listPullRequests`, `list-pull-requests` and `HTTPServer` are split where a reader would. */
export function wordsOf(text: string): string[] {
  return text
    .replace(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/** `issues` and `issue`, `repositories` and `repository` are one word. */
function stem(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`;
  return word.length > 3 && word.endsWith('s') && !word.endsWith('ss') ? word.slice(0, -1) : word;
}

function entryOf(operation: Operation): Entry {
  const field = (text: string, weight: number) => {
    const stems = wordsOf(text).map(stem);
    return { words: ` ${stems.join(' ')} `, count: stems.length, text: text.toLowerCase(), weight };
  };
  return {
    operation,
    id: operation.id.toLowerCase(),
    path: operation.path.toLowerCase(),
    call: `${operation.method} ${operation.path}`.toLowerCase(),
    fields: [
      field(operation.id, WEIGHTS.id),
      field(`${operation.method} ${operation.path}`, WEIGHTS.path),
      field(operation.summary, WEIGHTS.summary),
      field(operation.tags.join(' '), WEIGHTS.tags),
    ],
  };
}

function wordScore(entry: Entry, word: string): number {
  let score = 0;
  for (const { words, text, weight } of entry.fields) {
    if (words.includes(` ${word} `)) score += weight * EXACT;
    else if (words.includes(` ${word}`)) score += weight * BEGINNING;
    else if (word.length > 2 && text.includes(word)) score += weight * INSIDE;
  }
  return score;
}

type Rank = { exact: number; words: number; score: number };

function rankOf(entry: Entry, whole: string, words: readonly string[]): Rank | undefined {
  const exact =
    entry.id === whole || entry.path === whole || entry.call === whole
      ? 2
      : whole.length > 2 && (entry.id.startsWith(whole) || entry.path.startsWith(whole))
        ? 1
        : 0;
  const scores = words.map((word) => wordScore(entry, word)).filter((score) => score > 0);
  if (exact === 0 && scores.length === 0) return undefined;
  // Of two that have the same words, the one that says little else was meant.
  const brevity = 1 / (1 + (entry.fields[0]?.count ?? 0) + (entry.fields[1]?.count ?? 0));
  return { exact, words: scores.length, score: scores.reduce((sum, one) => sum + one, 0) + brevity };
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
  readonly #entries: Entry[];
  readonly #fingerprint: string;

  constructor(operations: readonly Operation[]) {
    this.#entries = operations.map(entryOf);
    this.#fingerprint = fingerprint(operations.map(({ id, summary }) => `${id} ${summary}`));
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
    const words = [...new Set((telling.length > 0 ? telling : all).map(stem))].slice(0, 32);
    const ranked = this.#entries.flatMap(({ operation }, index) => {
      const rank = rankOf(this.#entries[index] as Entry, whole, words);
      return rank === undefined ? [] : [{ operation, index, ...rank }];
    });
    ranked.sort((a, b) => b.exact - a.exact || b.words - a.words || b.score - a.score || a.index - b.index);
    return ranked.map(({ operation }) => operation);
  }
}

function writeCursor(offset: number, key: string): string {
  return Buffer.from(`${offset}.${key}`).toString('base64url');
}

function readCursor(cursor: string, key: string): number | undefined {
  const [offset, of] = Buffer.from(cursor.slice(0, 100), 'base64url').toString().split('.');
  return of === key && /^\d{1,9}$/.test(offset ?? '') ? Number(offset) : undefined;
}
