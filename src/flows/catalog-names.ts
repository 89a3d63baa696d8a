import type { ConnectionKey } from '../core/connection.ts';
import type { PublishedName } from '../core/ports.ts';
import { publishedToolName } from '../core/tool-name.ts';

type Item = PublishedName['item'];
type Source = { kind: string; name: string; tool: string };

function sourceKey({ kind, name, tool }: Source): string {
  return JSON.stringify([kind, name, tool]);
}

/**
 * Which item is published under which name: a name once given stays with it. The first connection of a name is called
 * by that name, one of another kind `<name>-<kind>`; that is the prefix of its tools and prompts, too.
 */
export class NameMap {
  readonly #byName: Record<Item, Map<string, string>> = { connection: new Map(), tool: new Map(), prompt: new Map() };
  readonly #bySource: Record<Item, Map<string, string>> = { connection: new Map(), tool: new Map(), prompt: new Map() };
  #added: PublishedName[] = [];

  constructor(stored: readonly PublishedName[]) {
    for (const row of stored) this.#give(row.item, row.published_name, row);
  }

  prefix(key: ConnectionKey): string {
    return this.#name('connection', { ...key, tool: '' }, (attempt) => {
      if (attempt === 1) return key.name;
      return attempt === 2 ? `${key.name}-${key.kind}` : `${key.name}-${key.kind}-${attempt}`;
    });
  }

  name(item: 'tool' | 'prompt', source: Source): string {
    const prefix = this.prefix(source);
    return this.#name(item, source, (attempt) =>
      publishedToolName(prefix, attempt === 1 ? source.tool : `${source.tool}_${attempt}`),
    );
  }

  /** The names that were given since the last look. */
  takeAdded(): PublishedName[] {
    const added = this.#added;
    this.#added = [];
    return added;
  }

  /**
   * Takes over what is stored: of two replicas that name at once, the first one's names hold. Whoever loses its name by
   * that is given another one when it is next asked for.
   * @returns the connections of which something is called otherwise now
   */
  settle(stored: readonly PublishedName[]): ConnectionKey[] {
    const changed = new Map<string, ConnectionKey>();
    for (const { item, published_name, ...source } of stored) {
      const key = sourceKey(source);
      const ours = this.#bySource[item].get(key);
      const holder = this.#byName[item].get(published_name);
      // What is known of neither side may belong to a connection that is gone by now.
      if (holder === key || (ours === undefined && holder === undefined)) continue;
      for (const one of [key, holder]) {
        if (one === undefined) continue;
        const name = this.#bySource[item].get(one);
        if (name !== undefined) this.#byName[item].delete(name);
        this.#bySource[item].delete(one);
        const [kind, ofName] = JSON.parse(one) as [string, string, string];
        changed.set(`${kind}/${ofName}`, { kind, name: ofName });
      }
      this.#give(item, published_name, source);
    }
    return [...changed.values()];
  }

  /** A deleted connection gives its names back: another kind may take its place. */
  forget(kind: string, name: string): void {
    for (const item of ['connection', 'tool', 'prompt'] as const) {
      for (const [key, published] of this.#bySource[item]) {
        const [ofKind, ofName] = JSON.parse(key) as [string, string, string];
        if (ofKind !== kind || ofName !== name) continue;
        this.#bySource[item].delete(key);
        this.#byName[item].delete(published);
      }
    }
  }

  #name(item: Item, source: Source, propose: (attempt: number) => string): string {
    const known = this.#bySource[item].get(sourceKey(source));
    if (known !== undefined) return known;
    let attempt = 1;
    let name = propose(attempt);
    while (this.#byName[item].has(name)) {
      attempt += 1;
      name = propose(attempt);
    }
    this.#give(item, name, source);
    this.#added.push({ item, published_name: name, kind: source.kind, name: source.name, tool: source.tool });
    return name;
  }

  #give(item: Item, name: string, source: Source): void {
    const key = sourceKey(source);
    this.#byName[item].set(name, key);
    this.#bySource[item].set(key, name);
  }
}
