import { createHmac } from 'node:crypto';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { type AccessRules, accessRules } from '../../src/core/access-rule.ts';
import type { ConnectionConfig } from '../../src/core/connection.ts';
import { mcpConfigSchema } from '../../src/core/connection.ts';
import { toAppError } from '../../src/core/errors.ts';
import type { RequestHead } from '../../src/core/plain-post.ts';
import type {
  CatalogEntry,
  Connection,
  Fetch,
  Log,
  Notifier,
  NotifyChannel,
  PublishedName,
  Toolkit,
} from '../../src/core/ports.ts';
import type { Principal } from '../../src/core/principal.ts';
import { Secret } from '../../src/core/redact.ts';
import { NOTHING_LISTED } from '../../src/core/upstream-catalog.ts';
import { createEgress } from '../../src/egress.ts';
import type { AccessTokenFor } from '../../src/flows/api.ts';
import type { CatalogDeps } from '../../src/flows/catalog.ts';
import { createCatalog } from '../../src/flows/catalog.ts';
import type { Catalog } from '../../src/flows/catalog-api.ts';
import { createToolCall, type ToolCall } from '../../src/flows/tool-call.ts';
import { listen as listenAsServed } from '../../src/listen.ts';
import { createMcpFace, type McpFace, type McpFaceDeps } from '../../src/mcp/face.ts';
import { createMcpToolkit } from '../../src/toolkits/mcp/index.ts';
import { createMemoryDatabase } from '../support/memory-tables.ts';
import { createMemoryToolChanges } from '../support/memory-tool-changes.ts';
import { memoryCalls } from '../support/ports.ts';

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

export const egress = createEgress();
export const fetchPort: Fetch = egress;

/** Stores that keep what they get in memory: the database has tests of its own. */
export class MemoryStores {
  connections = new Map<string, Connection>();
  entries = new Map<string, CatalogEntry>();
  published: PublishedName[] = [];
  reads = 0;
  toolChanges = createMemoryToolChanges(createMemoryDatabase());

  get stores(): CatalogDeps['stores'] {
    const refuse = async (): Promise<never> => {
      throw new Error('not part of this test');
    };
    return {
      connections: {
        list: async () => {
          this.reads += 1;
          return [...this.connections.values()];
        },
        listWithCredentials: refuse,
        read: async (key) => this.connections.get(`${key.kind}/${key.name}`),
        save: refuse,
        delete: refuse,
      },
      catalog: {
        list: async () => [...this.entries.values()],
        read: async ({ kind, name }) => structuredClone(this.entries.get(`${kind}/${name}`)),
        save: async (entry) => {
          this.entries.set(`${entry.key.kind}/${entry.key.name}`, structuredClone(entry));
        },
        names: async () => [...this.published],
        saveNames: async (names) => {
          this.published.push(...names);
        },
      },
      toolChanges: this.toolChanges,
      events: { append: async () => undefined, list: async () => [], prune: async () => 0 },
    };
  }
}

export class MemoryNotifier implements Notifier {
  readonly #listeners = new Map<NotifyChannel, Set<(payload: string) => void>>();

  async publish(channel: NotifyChannel, payload: string): Promise<void> {
    for (const listener of this.#listeners.get(channel) ?? []) listener(payload);
  }

  subscribe(channel: NotifyChannel, listener: (payload: string) => void): () => void {
    const set = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, set.add(listener));
    return () => set.delete(listener);
  }
}

let revision = 0n;

export function connection(name: string, config: Record<string, unknown>, kind = 'mcp'): Connection {
  revision += 1n;
  const parsed = kind === 'mcp' ? (mcpConfigSchema.parse(config) as ConnectionConfig) : (config as ConnectionConfig);
  return {
    key: { kind, name },
    incarnation: `00000000-0000-4000-8000-${String(revision).padStart(12, '0')}`,
    source: 'api',
    description: '',
    config: parsed,
    issues: [],
    created_at: Number(revision),
    updated_at: Number(revision),
    updated_by: 'test',
    revision,
  };
}

/** What a test knows of one connection, the rest of it empty. */
export function entry(of: Connection, known: Partial<CatalogEntry> = {}): CatalogEntry {
  return { ...NOTHING_LISTED, key: of.key, incarnation: of.incarnation, listed_at: 1, ...known };
}

export type Gateway = {
  url: string;
  catalog: Catalog;
  toolCall: ToolCall;
  face: McpFace;
  memory: MemoryStores;
  notifier: MemoryNotifier;
  add(connection: Connection): void;
  /** The published names, as the list has them now. */
  names(): string[];
  close(): Promise<void>;
};

export type GatewayOptions = {
  connections?: Connection[];
  memory?: MemoryStores;
  notifier?: MemoryNotifier;
  accessToken?: AccessTokenFor;
  toolkits?: Toolkit[];
  settings?: CatalogDeps['settings'];
  /** What whoever calls may use. */
  access?: AccessRules;
  face?: Partial<McpFaceDeps>;
};

/** The same for every gateway of a test, as replicas have it. */
export const signState = (text: string) => createHmac('sha256', 'test').update(text).digest('base64url');

const ALL = accessRules({});
export const PRINCIPAL = { actor: 'apikey:a', role: 'agent', via: 'api_key', access: ALL } as const;
export const EVERYTHING = { principal: PRINCIPAL, connection: undefined };

/** Who calls is told in a header: entering is the business of http/. */
export const ACTOR_HEADER = 'x-test-actor';

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

export async function stop(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

export async function openGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const memory = options.memory ?? new MemoryStores();
  for (const one of options.connections ?? []) memory.connections.set(`${one.key.kind}/${one.key.name}`, one);
  const notifier = options.notifier ?? new MemoryNotifier();
  const toolkits = options.toolkits ?? [createMcpToolkit()];
  const catalog = createCatalog({
    toolkits: new Map(toolkits.map((toolkit) => [toolkit.kind, toolkit])),
    stores: memory.stores,
    accessToken: options.accessToken ?? (async () => new Secret('unused')),
    fetch: fetchPort,
    notifier,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    settings: { retry_min: 50, retry_max: 200, ...options.settings },
  });
  const calls = memoryCalls();
  const toolCall = createToolCall({ catalog, calls, publicUrl: 'https://platform.example/', log: silentLog });
  const face = createMcpFace({
    catalog,
    toolCall,
    signState,
    version: '1.2.3',
    log: silentLog,
    clock: systemClock,
    random: systemRandom,
    ...options.face,
  });
  const caller = ({ headers, url }: RequestHead): [Principal, string | undefined] => {
    const actor = headers.get(ACTOR_HEADER) ?? 'apikey:a';
    const part = /^\/mcp\/([^/]+)$/.exec(new URL(url, 'http://127.0.0.1').pathname)?.[1];
    return [{ ...PRINCIPAL, actor, access: options.access ?? ALL }, part];
  };
  const listener = await listenAsServed({ host: '127.0.0.1', port: 0 });
  listener.serve({
    fetch: async (request) => {
      try {
        return await face.handle(request, ...caller(request));
      } catch (error) {
        return new Response(null, { status: toAppError(error).status });
      }
    },
    post: (post) => face.post(post, ...caller(post)),
  });
  await catalog.start();
  return {
    url: `${listener.origin}/mcp`,
    catalog,
    toolCall,
    face,
    memory,
    notifier,
    add(one) {
      memory.connections.set(`${one.key.kind}/${one.key.name}`, one);
      void notifier.publish('connections', `${one.key.kind}/${one.key.name}`);
    },
    names: () => catalog.view(EVERYTHING).tools.map((tool) => tool.name),
    async close() {
      await face.close();
      await catalog.close();
      await listener.close(Promise.resolve());
    },
  };
}
