import { connectionLabel } from '../core/connection.ts';
import type { CatalogEntry, Connection, Log, Notifier, PublishedName, Stores, UpstreamCatalog } from '../core/ports.ts';
import { NOTHING_LISTED } from '../core/upstream-catalog.ts';
import type { CatalogMember } from './catalog-member.ts';

type MemoryDeps = { stores: Pick<Stores, 'catalog'>; notifier: Notifier; log: Log };

/** What the last listings found, in the database for the next start and for the other replicas. */
export class CatalogMemory {
  readonly #deps: MemoryDeps;
  #entries = new Map<string, CatalogEntry>();
  readonly #unsaved: PublishedName[] = [];

  constructor(deps: MemoryDeps) {
    this.#deps = deps;
  }

  async load(): Promise<void> {
    const entries = await this.#deps.stores.catalog.list();
    this.#entries = new Map(entries.map((entry) => [connectionLabel(entry.key), entry]));
  }

  /** Of this life of the connection: an earlier one of the same name may have led elsewhere. */
  known({ key, incarnation }: Connection): UpstreamCatalog {
    const entry = this.#entries.get(connectionLabel(key));
    return entry?.incarnation === incarnation ? entry : NOTHING_LISTED;
  }

  forget(label: string): void {
    this.#entries.delete(label);
  }

  /** Stored first, then told to the other replicas, which read it there. */
  async remember(member: CatalogMember): Promise<void> {
    const { key, listed_at } = member;
    if (listed_at === null) return;
    const entry = { ...member.knowledge, key, incarnation: member.connection.incarnation, listed_at };
    const label = connectionLabel(key);
    this.#entries.set(label, entry);
    try {
      await this.#deps.stores.catalog.save(entry);
      await this.#deps.notifier.publish('catalog', label);
    } catch (error) {
      this.#deps.log.warn('the list of tools could not be stored', { connection: label, error });
    }
  }

  /** Another replica has read a connection's lists, and found them changed. */
  async adopt(member: CatalogMember): Promise<void> {
    const label = connectionLabel(member.key);
    try {
      const entry = await this.#deps.stores.catalog.read(member.key);
      if (entry?.incarnation !== member.connection.incarnation) return;
      this.#entries.set(label, entry);
      member.adopt(entry);
    } catch (error) {
      this.#deps.log.warn('the list that another replica read could not be taken over', { connection: label, error });
    }
  }

  /**
   * Stores names, with those that could not be stored before.
   * @returns every name that is stored then; nothing where there was none to store, or it failed
   */
  async saveNames(added: PublishedName[]): Promise<PublishedName[]> {
    const names = [...this.#unsaved.splice(0), ...added];
    if (names.length === 0) return [];
    const { catalog } = this.#deps.stores;
    try {
      await catalog.saveNames(names);
      return await catalog.names();
    } catch (error) {
      this.#unsaved.push(...names);
      this.#deps.log.warn('names of tools could not be stored', { count: names.length, error });
      return [];
    }
  }
}
