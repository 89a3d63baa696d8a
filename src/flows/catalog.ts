import type { ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import { toAppError } from '../core/errors.ts';
import type {
  CatalogEntry,
  Clock,
  Connection,
  Fetch,
  Log,
  Notifier,
  Random,
  Stores,
  Toolkit,
  ToolkitTest,
  UpstreamTool,
} from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { AccessTokenFor } from './api.ts';
import type { Catalog, ResolvedTool } from './catalog-api.ts';
import type { MemberSettings, MemberStatus } from './catalog-member.ts';
import { CatalogMember, DEFAULT_MEMBER_SETTINGS } from './catalog-member.ts';
import { NameMap } from './catalog-names.ts';
import { limiter } from './limiter.ts';
import { toolkitContext } from './toolkit-context.ts';

export type CatalogDeps = {
  toolkits: ReadonlyMap<string, Toolkit>;
  stores: Pick<Stores, 'connections' | 'catalog' | 'events'>;
  accessToken: AccessTokenFor;
  fetch: Fetch;
  notifier: Notifier;
  clock: Clock;
  random: Random;
  log: Log;
  settings?: Partial<MemberSettings>;
};

/** The key of `_meta` under which a tool tells which connection it belongs to and how that is. */
export const CONNECTION_META = 'mcp-data-platform/connection';

const LISTINGS_AT_ONCE = 16;
/** A burst of changes is one list for the clients. */
const PUBLISH_MS = 20;

type View = { tools: UpstreamTool[]; byName: Map<string, { member: CatalogMember; tool: UpstreamTool }> };

class LiveCatalog implements Catalog {
  readonly #deps: CatalogDeps;
  readonly #members = new Map<string, CatalogMember>();
  readonly #listeners = new Set<() => void>();
  readonly #closed = new AbortController();
  readonly #limited = limiter(LISTINGS_AT_ONCE);
  readonly #unsubscribe: Array<() => void> = [];
  #names = new NameMap([]);
  #stored = new Map<string, CatalogEntry>();
  #view: View = { tools: [], byName: new Map() };
  #publishing = false;
  #reloading: Promise<void> | undefined;
  #reloadAgain = false;

  constructor(deps: CatalogDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const { stores, notifier } = this.#deps;
    const [names, entries] = await Promise.all([stores.catalog.names(), stores.catalog.list()]);
    this.#names = new NameMap(names);
    this.#stored = new Map(entries.map((entry) => [connectionLabel(entry.key), entry]));
    this.#unsubscribe.push(
      notifier.subscribe('connections', () => void this.#reloadSafely()),
      notifier.subscribe('credentials', (payload) => this.#credentialChanged(payload)),
    );
    await this.reload();
    this.#publish();
  }

  tools(_principal: Principal): readonly UpstreamTool[] {
    return this.#view.tools;
  }

  resolve(publishedName: string): ResolvedTool | undefined {
    const found = this.#view.byName.get(publishedName);
    if (!found) return undefined;
    const { member, tool } = found;
    return {
      key: member.key,
      tool: tool.name,
      definition: tool,
      upstream: member.upstream,
      state: member.state,
      note: (error) => member.note(error),
    };
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
    if (open) this.#drop(label, open);
    const toolkit = this.#deps.toolkits.get(connection.key.kind);
    if (connection.issues.length === 0 && toolkit) this.#open(connection, toolkit, open && same ? open : undefined);
    this.#publishSoon();
  }

  #open(connection: Connection, toolkit: Toolkit, before: CatalogMember | undefined): void {
    const label = connectionLabel(connection.key);
    const stored = this.#stored.get(label);
    const known = before ? before.knowledge : stored?.incarnation === connection.incarnation ? stored : undefined;
    try {
      const upstream = toolkit.connect(toolkitContext(this.#deps, connection));
      const deps = this.#memberDeps();
      this.#members.set(
        label,
        new CatalogMember(
          connection,
          upstream,
          { tools: known?.tools ?? [], listed_at: known?.listed_at ?? null },
          deps,
        ),
      );
    } catch (error) {
      this.#deps.log.error('a connection cannot be opened', { connection: label, error });
    }
  }

  remove(key: ConnectionKey): void {
    const label = connectionLabel(key);
    const open = this.#members.get(label);
    this.#stored.delete(label);
    this.#names.forget(key.kind, key.name);
    if (!open) return;
    this.#drop(label, open);
    this.#publishSoon();
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

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#listeners.clear();
    await Promise.allSettled([...this.#members.values()].map((member) => member.close()));
    this.#members.clear();
  }

  #memberDeps() {
    const { clock, random, log, settings } = this.#deps;
    return {
      settings: { ...DEFAULT_MEMBER_SETTINGS, ...settings },
      clock,
      random,
      log,
      limited: this.#limited,
      changed: (member: CatalogMember, what: 'tools' | 'state') => {
        if (what === 'tools') void this.#remember(member);
        this.#publishSoon();
      },
    };
  }

  async #remember(member: CatalogMember): Promise<void> {
    const { tools, listed_at } = member.knowledge;
    if (listed_at === null) return;
    const entry = { key: member.key, incarnation: member.connection.incarnation, tools, listed_at };
    this.#stored.set(connectionLabel(member.key), entry);
    try {
      await this.#deps.stores.catalog.save(entry);
    } catch (error) {
      this.#deps.log.warn('the list of tools could not be stored', { connection: connectionLabel(member.key), error });
    }
  }

  #drop(label: string, member: CatalogMember): void {
    this.#members.delete(label);
    member.close().catch((error: unknown) => this.#deps.log.debug('closing an upstream', { error: toAppError(error) }));
  }

  /** A new token heals what needed a person; where all is well it changes nothing. */
  #credentialChanged(payload: string): void {
    const member = this.#members.get(payload);
    if (member && member.state !== 'ok') member.refresh();
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

  #publishSoon(): void {
    if (this.#publishing) return;
    this.#publishing = true;
    void this.#deps.clock.sleep(PUBLISH_MS, this.#closed.signal).then(() => {
      this.#publishing = false;
      if (!this.#closed.signal.aborted) this.#publish();
    });
  }

  #publish(): void {
    const before = this.#view;
    this.#view = this.#compose();
    if (JSON.stringify(before.tools) === JSON.stringify(this.#view.tools)) return;
    for (const listener of this.#listeners) listener();
  }

  /** Connections in the order of their creation, each one's tools in the order of its upstream. */
  #compose(): View {
    const members = [...this.#members.values()].sort(
      ({ connection: a }, { connection: b }) =>
        a.created_at - b.created_at || (connectionLabel(a.key) < connectionLabel(b.key) ? -1 : 1),
    );
    const pairs = members.flatMap((member) => member.tools.map((tool) => ({ member, tool })));
    const sources = pairs.map(({ member, tool }) => ({ ...member.key, tool: tool.name }));
    const { names, added } = this.#names.assign(sources);
    if (added.length > 0) void this.#saveNames(added);
    const view: View = { tools: [], byName: new Map() };
    for (const [index, { member, tool }] of pairs.entries()) {
      const name = names[index] ?? tool.name;
      const meta = typeof tool._meta === 'object' && tool._meta !== null ? tool._meta : {};
      const about = { kind: member.key.kind, name: member.key.name, state: member.state };
      view.tools.push({ ...tool, name, _meta: { ...meta, [CONNECTION_META]: about } });
      view.byName.set(name, { member, tool });
    }
    return view;
  }

  async #saveNames(added: Parameters<Stores['catalog']['saveNames']>[0]): Promise<void> {
    try {
      await this.#deps.stores.catalog.saveNames(added);
    } catch (error) {
      this.#deps.log.warn('names of tools could not be stored', { count: added.length, error });
    }
  }
}

/** The merged list of every connection's tools, kept in memory and read in the background. */
export function createCatalog(deps: CatalogDeps): Catalog {
  return new LiveCatalog(deps);
}
