/** An object of a foreign document: nothing about its members is known. */
export type DocumentNode = { readonly [key: string]: unknown };

export function asNode(value: unknown): DocumentNode | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as DocumentNode) : undefined;
}

/** An own member: a document may well have a schema called `constructor`. */
export function member(node: unknown, key: string): unknown {
  const object = asNode(node);
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

export function nodeAt(node: unknown, key: string): DocumentNode | undefined {
  return asNode(member(node, key));
}

/** A list, where vendors also write `null` or nothing (lesson 40). */
export function listAt(node: unknown, key: string): readonly unknown[] {
  const value = member(node, key);
  return Array.isArray(value) ? value : [];
}

export function textAt(node: unknown, key: string): string | undefined {
  const value = member(node, key);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? value : undefined;
}

export function numberAt(node: unknown, key: string): number | undefined {
  const value = member(node, key);
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

export function flagAt(node: unknown, key: string): boolean {
  const value = member(node, key);
  return value === true || value === 'true';
}

/** Entries of the member `key`, without extensions. */
export function entriesAt(node: unknown, key: string): [name: string, value: unknown][] {
  return Object.entries(nodeAt(node, key) ?? {});
}

/** At most `limit` characters, an ellipsis included. */
export function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return `${text.slice(0, Math.max(0, limit - 1)).trimEnd()}…`;
}

/** Sentences, of which only the first ones are kept and the rest is counted. */
export class Sentences {
  readonly #kept = new Set<string>();
  readonly #limit: number;
  #more = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(sentence: string): void {
    if (this.#kept.has(sentence)) return;
    if (this.#kept.size < this.#limit) this.#kept.add(sentence);
    else this.#more += 1;
  }

  list(): string[] {
    return this.#more === 0 ? [...this.#kept] : [...this.#kept, `${this.#more} more of the kind.`];
  }
}
