import type { PublishedName } from '../core/ports.ts';
import type { ToolSource } from '../core/tool-name.ts';
import { publishedToolName, publishTools } from '../core/tool-name.ts';

function sourceKey(source: ToolSource): string {
  return JSON.stringify([source.kind, source.name, source.tool]);
}

/** Which tool is published under which name: a name once given stays with its tool. */
export class NameMap {
  readonly #byName = new Map<string, string>();
  readonly #bySource = new Map<string, string>();

  constructor(stored: readonly PublishedName[]) {
    for (const row of stored) this.#give(row.published_name, row);
  }

  /**
   * Names every source, in the order given.
   * @returns the names of all sources, and those among them that were not known yet.
   */
  assign(sources: readonly ToolSource[]): { names: string[]; added: PublishedName[] } {
    const added: PublishedName[] = [];
    let proposals: Map<string, string> | undefined;
    const names = sources.map((source) => {
      const key = sourceKey(source);
      const known = this.#bySource.get(key);
      if (known !== undefined) return known;
      proposals ??= new Map([...publishTools(sources)].map(([name, proposed]) => [sourceKey(proposed), name]));
      const name = this.#free(proposals.get(key) ?? publishedToolName(source.name, source.tool), source);
      this.#give(name, source);
      added.push({ published_name: name, ...source });
      return name;
    });
    return { names, added };
  }

  /** A deleted connection gives its names back: another kind may take its place. */
  forget(kind: string, name: string): void {
    for (const [key, published] of this.#bySource) {
      const [ofKind, ofName] = JSON.parse(key) as [string, string, string];
      if (ofKind !== kind || ofName !== name) continue;
      this.#bySource.delete(key);
      this.#byName.delete(published);
    }
  }

  #free(proposed: string, source: ToolSource): string {
    let name = proposed;
    for (let count = 2; this.#byName.has(name); count += 1) {
      name = publishedToolName(`${source.name}-${source.kind}`, count === 2 ? source.tool : `${source.tool}_${count}`);
    }
    return name;
  }

  #give(name: string, source: ToolSource): void {
    const key = sourceKey(source);
    this.#byName.set(name, key);
    this.#bySource.set(key, name);
  }
}
