import { type AccessRules, reaches } from '../core/access-rule.ts';
import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import type {
  Clock,
  Connection,
  Fetch,
  ListKind,
  Log,
  Notifier,
  Random,
  Stores,
  Toolkit,
  ToolkitTest,
} from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import { changedLists, NOTHING_LISTED } from '../core/upstream-catalog.ts';
import type { AccessTokenFor } from './api.ts';
import type { Catalog, CatalogChange, CatalogView, PlainTarget, Viewer } from './catalog-api.ts';
import { PendingChanges } from './catalog-changes.ts';
import type { MemberDeps, MemberSettings, MemberStatus } from './catalog-member.ts';
import { CatalogMember, DEFAULT_MEMBER_SETTINGS } from './catalog-member.ts';
import { CatalogMemory } from './catalog-memory.ts';
import { NameMap } from './catalog-names.ts';
import { type Published, Publisher } from './catalog-published.ts';
import { connectionView, mergedView } from './catalog-view.ts';
import { EndingMembers } from './ending-members.ts';
import { limiter } from './limiter.ts';
import { createToolChanges, type ToolChanges } from './tool-changes.ts';
import { toolkitContext } from './toolkit-context.ts';

export type CatalogDeps = {
  toolkits: ReadonlyMap<string, Toolkit>;
  stores: Pick<Stores, 'connections' | 'catalog' | 'events' | 'toolChanges'>;
  accessToken: AccessTokenFor;
  fetch: Fetch;
  notifier: Notifier;
  clock: Clock;
  random: Random;
  log: Log;
  settings?: Partial<MemberSettings>;
};

const LISTINGS_AT_ONCE = 16;
/** A burst of changes is one list for the clients. */
const PUBLISH_MS = 20;

class LiveCatalog implements Catalog {
  readonly #deps: CatalogDeps;
  readonly #members = new Map<string, CatalogMember>();
  readonly #ending: EndingMembers;
  readonly #listeners = new Set<(changes: readonly CatalogChange[]) => void>();
  readonly #closed = new AbortController();
  readonly #limited = limiter(LISTINGS_AT_ONCE);
  readonly #unsubscribe: Array<() => void> = [];
  readonly #memory: CatalogMemory;
  #publisher = new Publisher(new NameMap([]));
  /** Of every connection in the order of its creation. */
  #published: Published[] = [];
  /** By what a principal may use, which is one object for as long as it is the same. */
  #views = new WeakMap<AccessRules, Map<string, CatalogView>>();
  readonly #pending = new PendingChanges();
  readonly #drifted: ToolChanges;
  #publishing: Promise<void> | undefined;
  #reloading: Promise<void> | undefined;
  #reloadAgain = false;

  constructor(deps: CatalogDeps) {
    this.#deps = deps;
    this.#memory = new CatalogMemory(deps);
    this.#ending = new EndingMembers(deps.log);
    this.#drifted = createToolChanges({ ...deps, store: deps.stores.toolChanges });
  }

  async start(): Promise<void> {
    const { stores, notifier } = this.#deps;
    const [names] = await Promise.all([stores.catalog.names(), this.#memory.load()]);
    this.#publisher = new Publisher(new NameMap(names));
    this.#unsubscribe.push(
      notifier.subscribe('connections', () => void this.#reloadSafely()),
      notifier.subscribe('credentials', (payload) => this.#credentialChanged(payload)),
      notifier.subscribe('catalog', (payload) => this.#adopt(payload)),
    );
    await this.reload();
    this.#publish();
  }

  view({ principal, connection }: Viewer): CatalogView {
    const { access } = principal;
    const label = connection ? connectionLabel(connection) : '';
    const views = this.#views.get(access) ?? new Map<string, CatalogView>();
    const made = views.get(label);
    if (made) return made;
    const member = connection && this.#members.get(label);
    const view = member ? connectionView(member, access) : mergedView(connection ? [] : this.#published, access);
    this.#views.set(access, views.set(label, view));
    return view;
  }

  connectionAt(name: string, principal: Principal): ConnectionKey | undefined {
    const key = this.#published.find(({ prefix }) => prefix === name)?.member.key;
    return key && reaches(principal, key) ? key : undefined;
  }

  concerns({ principal, connection }: Viewer, changes: readonly CatalogChange[]): ListKind[] {
    const lists = new Set<ListKind>();
    for (const change of changes) {
      if (connection && connectionLabel(connection) !== connectionLabel(change.key)) continue;
      if (!reaches(principal, change.key)) continue;
      for (const list of change.lists) lists.add(list);
      if (change.state && !connection) lists.add('tools');
    }
    return [...lists];
  }

  plainTargets(name: string): PlainTarget[] {
    return [...this.#byName(name)].flatMap((member): PlainTarget[] => {
      const { key, upstream } = member;
      if (!upstream.handle) return [];
      return [{ key, handle: upstream.handle.bind(upstream), note: (error) => member.note(error) }];
    });
  }

  *#byName(name: string): Iterable<CatalogMember> {
    for (const kind of this.#deps.toolkits.keys()) {
      const member = this.#members.get(connectionLabel({ kind, name }));
      if (member) yield member;
    }
  }

  status(key: ConnectionKey): MemberStatus | undefined {
    return this.#members.get(connectionLabel(key))?.status;
  }

  apply(connection: Connection): void {
    if (this.#closed.signal.aborted) return;
    const label = connectionLabel(connection.key);
    const open = this.#members.get(label);
    const same = open?.connection.incarnation === connection.incarnation;
    if (open && same && open.connection.revision >= connection.revision) return;
    void this.#ending.close(connection.key, connection.incarnation);
    if (open) this.#ending.add(open, same ? open.retire(this.#publishedSoon()) : open.close());
    this.#members.delete(label);
    const toolkit = this.#deps.toolkits.get(connection.key.kind);
    if (connection.issues.length === 0 && toolkit) this.#open(connection, toolkit, open && same ? open : undefined);
    const now = this.#members.get(label);
    const lists = changedLists(open?.knowledge ?? NOTHING_LISTED, now?.knowledge ?? NOTHING_LISTED);
    this.#changed(connection.key, lists, (open?.state ?? 'ok') !== (now?.state ?? 'ok'));
  }

  #open(connection: Connection, toolkit: Toolkit, before: CatalogMember | undefined): void {
    const label = connectionLabel(connection.key);
    const known = before ? { ...before.knowledge, listed_at: before.listed_at } : this.#memory.known(connection);
    try {
      const upstream = toolkit.connect(toolkitContext(this.#deps, connection));
      this.#members.set(label, new CatalogMember(connection, upstream, known, this.#memberDeps(toolkit)));
    } catch (error) {
      this.#deps.log.error('a connection cannot be opened', { connection: label, error });
    }
  }

  remove(key: ConnectionKey): void {
    const label = connectionLabel(key);
    const open = this.#members.get(label);
    this.#memory.forget(label);
    this.#publisher.forget(key);
    void this.#ending.close(key);
    if (!open) return;
    this.#members.delete(label);
    this.#ending.add(open, open.close());
    this.#changed(key, changedLists(open.knowledge, NOTHING_LISTED), false);
  }

  async reload(): Promise<void> {
    const connections = await this.#deps.stores.connections.list();
    const present = new Set(connections.map(({ key }) => connectionLabel(key)));
    for (const member of [...this.#members.values()]) {
      if (!present.has(connectionLabel(member.key))) this.remove(member.key);
    }
    for (const connection of connections) this.apply(connection);
  }

  refresh(key: ConnectionKey): void {
    this.#members.get(connectionLabel(key))?.refresh();
  }

  /** Tests what is open, so that the verdict is about what callers get; else a connection of its own. */
  async test(connection: Connection, signal: AbortSignal): Promise<ToolkitTest> {
    const open = this.#members.get(connectionLabel(connection.key));
    if (open && open.connection.revision === connection.revision) {
      const verdict = await open.upstream.test(signal);
      open.refresh();
      return verdict;
    }
    const toolkit = this.#deps.toolkits.get(connection.key.kind);
    const first = connection.issues[0];
    if (!toolkit || first) {
      const message = first ? `${first.path} ${first.message}` : `Kind ${connection.key.kind} is not known here.`;
      return { ok: false, message: `The stored configuration is not valid: ${message}`, details: {} };
    }
    const upstream = toolkit.connect(toolkitContext(this.#deps, connection));
    try {
      return await upstream.test(signal);
    } finally {
      await upstream.close();
    }
  }

  onChange(listener: (changes: readonly CatalogChange[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
    await Promise.allSettled([...[...this.#members.values()].map((member) => member.close()), this.#ending.close()]);
    this.#members.clear();
  }

  #memberDeps({ shared }: Toolkit): MemberDeps {
    const { clock, random, log, settings } = this.#deps;
    return {
      settings: { ...DEFAULT_MEMBER_SETTINGS, ...settings },
      clock,
      random,
      log,
      asks: shared === undefined,
      limited: this.#limited,
      drifted: this.#drifted,
      changed: (member, lists, listed) => {
        if (listed) void this.#memory.remember(member);
        this.#changed(member.key, lists, lists.length === 0);
      },
    };
  }

  /** Of one connection; of all where notices may have been missed. */
  #adopt(payload: string): void {
    for (const [label, member] of this.#members) {
      if (payload === '' || payload === label) void this.#memory.adopt(member);
    }
  }

  /** A new token heals what needed a person; where all is well it changes nothing. */
  #credentialChanged(payload: string): void {
    this.#members.get(payload)?.renewed();
  }

  async #reloadSafely(): Promise<void> {
    if (this.#reloading) {
      this.#reloadAgain = true;
      return this.#reloading;
    }
    this.#reloading = this.reload().catch((error: unknown) => {
      this.#deps.log.warn('the connections could not be read again', { error });
    });
    await this.#reloading;
    this.#reloading = undefined;
    if (!this.#reloadAgain) return;
    this.#reloadAgain = false;
    await this.#reloadSafely();
  }

  #changed(key: ConnectionKey, lists: readonly ListKind[], state: boolean): void {
    this.#pending.add(key, lists, state);
    void this.#publishedSoon();
  }

  #publishedSoon(): Promise<void> {
    this.#publishing ??= this.#deps.clock.sleep(PUBLISH_MS, this.#closed.signal).then(() => {
      this.#publishing = undefined;
      if (!this.#closed.signal.aborted) this.#publish();
    });
    return this.#publishing;
  }

  /** Connections in the order of their creation, each one's items in the order of its upstream. */
  #publish(): void {
    const members = [...this.#members.values()].sort(
      ({ connection: a }, { connection: b }) =>
        a.created_at - b.created_at || (connectionLabel(a.key) < connectionLabel(b.key) ? -1 : 1),
    );
    this.#published = members.map((member) =>
      this.#publisher.publish(member, this.#deps.toolkits.get(member.key.kind)?.shared),
    );
    this.#views = new WeakMap();
    void this.#memory.saveNames(this.#publisher.takeAdded()).then((stored) => {
      for (const key of this.#publisher.settle(stored)) this.#changed(key, ['tools', 'prompts', 'resources'], false);
    });
    const changes = this.#pending.take();
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes);
  }
}

/** The merged list of every connection's tools, kept in memory and read in the background. */
export function createCatalog(deps: CatalogDeps): Catalog {
  return new LiveCatalog(deps);
}
