import {
  AUTH_EVENT_TYPES,
  type AuthEvent,
  authEventDetailSchema,
  type NewAuthEvent,
} from '../../src/core/auth-event.ts';
import { type ConfigSchemas, type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import type { Credential, Intent, IssuerIncident } from '../../src/core/credential.ts';
import { AppError } from '../../src/core/errors.ts';
import type {
  CallLoss,
  CallRecord,
  CatalogEntry,
  Clock,
  PendingConsent,
  PendingRevocation,
  PublishedName,
  Random,
  RegisteredClient,
  ToolChange,
} from '../../src/core/ports.ts';
import type { ConnectionRow } from '../../src/db/connection-rows.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { BoxContext, SecretBox } from '../../src/db/secret-box.ts';

/** A credential with what it keeps while it is revoked, and its secrets in their boxes. */
export type CredentialRow = {
  credential: Credential;
  /** By the clock of the database. */
  intent_at: number | null;
  /** The intent that the open one took the place of. */
  taken: { intent: Intent; intent_at: number | null } | null;
  refresh_sent_at: number | null;
  access_token: Uint8Array | null;
  refresh_token: Uint8Array | null;
  client_secret: Uint8Array | null;
};

/** Its secrets are boxed under the names of its fields. */
export type ConsentRow = {
  consent: Omit<PendingConsent, 'code_verifier' | 'client_secret'>;
  code_verifier: Uint8Array;
  client_secret: Uint8Array | null;
  browser_binding_hash: string | null;
  consumed_at: number | null;
  consent_seq: bigint | null;
};

export type ClientRow = {
  key: ConnectionKey;
  client: Omit<RegisteredClient, 'client_secret'>;
  client_secret: Uint8Array | null;
};

/** Its secrets are boxed under the names of its fields. */
export type RevocationRow = {
  revocation: Omit<PendingRevocation, 'refresh_token' | 'access_token' | 'client_secret'>;
  refresh_token: Uint8Array | null;
  access_token: Uint8Array | null;
  client_secret: Uint8Array | null;
  next_at: number;
};

export type EventRow = { event: AuthEvent; sequence: bigint; occurred_at: number };
export type ReplicaRow = { boot_id: bigint; last_seen: number; drained_boot: bigint | null };
export type AccessRow = { actor: string; expires_at: number };

/** Rows are replaced and never changed, so that a copy of the maps is a copy of everything. */
const emptyTables = () => ({
  connections: new Map<string, Omit<ConnectionRow, 'access_token' | 'refresh_token'>>(),
  credentials: new Map<string, CredentialRow>(),
  consents: new Map<string, ConsentRow>(),
  clients: new Map<string, ClientRow>(),
  revocations: new Map<string, RevocationRow>(),
  events: new Map<bigint, EventRow>(),
  replicas: new Map<string, ReplicaRow>(),
  incidents: new Map<string, IssuerIncident>(),
  catalog: new Map<string, CatalogEntry>(),
  names: new Map<string, PublishedName>(),
  links: new Map<string, AccessRow>(),
  sessions: new Map<string, AccessRow>(),
  calls: new Map<string, CallRecord>(),
  losses: new Map<string, CallLoss>(),
  toolChanges: new Map<string, ToolChange>(),
});

export type MemoryTables = ReturnType<typeof emptyTables>;

/** What every memory store works with. */
export type MemoryTools = { memory: Memory; clock: Clock; random: Random; box: SecretBox; schemas: ConfigSchemas };

export type Memory = {
  tables: MemoryTables;
  /** The clock of the database: it stands still but for a microsecond at each look, and for what the test lets pass. */
  now(): number;
  pass(ms: number): void;
  /** The one sequence of everything: growing, never repeated, also not after a rollback. */
  draw(): bigint;
  /** All of it or nothing. */
  transaction<T>(work: () => T): T;
  /** Puts a configuration in place that no store would write. */
  misconfigure(key: ConnectionKey, config: Record<string, unknown>): void;
};

/** Stands where a database stands, for whoever asks only for stores; it has no SQL. */
export type MemoryDatabase = OpenDatabase & { memory: Memory };

export function isMemory(opened: OpenDatabase): opened is MemoryDatabase {
  return 'memory' in opened;
}

function createMemory(): Memory {
  let time = 0;
  let drawn = 0n;
  const memory: Memory = {
    tables: emptyTables(),
    now() {
      time += 0.001;
      return time;
    },
    pass(ms) {
      time += ms;
    },
    draw() {
      drawn += 1n;
      return drawn;
    },
    transaction(work) {
      const { tables } = memory;
      const copies = Object.entries(tables).map(([name, table]) => [name, new Map(table as Map<unknown, unknown>)]);
      try {
        return work();
      } catch (error) {
        memory.tables = Object.fromEntries(copies) as MemoryTables;
        throw error;
      }
    },
    misconfigure(key, config) {
      const row = memory.tables.connections.get(connectionLabel(key));
      if (row) memory.tables.connections.set(connectionLabel(key), { ...row, config });
    },
  };
  return memory;
}

export function createMemoryDatabase(): MemoryDatabase {
  return {
    get db(): never {
      throw new Error('the stores in memory have no SQL: list the case, with the reason, where they are left out');
    },
    engine: 'embedded',
    locker: { tryLock: async () => true, unlock: async () => undefined },
    notifier: { publish: async () => undefined, subscribe: () => () => undefined },
    claimer: undefined,
    close: async () => undefined,
    memory: createMemory(),
  };
}

/** As a timestamp keeps an instant: in whole milliseconds. */
export function instant(value: number): number;
export function instant(value: number | null): number | null;
export function instant(value: number | null): number | null {
  return value === null ? null : Math.trunc(value);
}

export const byLabel = (a: { key: ConnectionKey }, b: { key: ConnectionKey }) =>
  connectionLabel(a.key) < connectionLabel(b.key) ? -1 : 1;

/** What a foreign key refuses. */
export function connectionGone(): AppError {
  return new AppError('not_found', 'The connection was deleted in the meantime. Create it again first.');
}

export function contextOf(key: ConnectionKey, column: string): BoxContext {
  return { kind: key.kind, name: key.name, column };
}

/** Within the transaction of the change that they tell of. */
export function writeEvents(
  { memory, clock, random }: MemoryTools,
  key: ConnectionKey,
  events: readonly NewAuthEvent[],
  generation?: bigint,
): void {
  const occurred_at = instant(clock.now());
  for (const { event_type, actor, idp_host, detail } of events) {
    const id = random.uuid();
    const parsed = authEventDetailSchema.safeParse(
      generation === undefined ? detail : { ...detail, generation: generation.toString() },
    );
    if (!parsed.success || !AUTH_EVENT_TYPES.includes(event_type)) {
      throw new AppError('internal', 'The history refuses an event that it does not know.');
    }
    const sequence = memory.draw();
    const event: AuthEvent = {
      id,
      sequence: sequence.toString(),
      occurred_at: new Date(occurred_at).toISOString(),
      connection_kind: key.kind,
      connection_name: key.name,
      event_type,
      actor,
      idp_host,
      // As jsonb: what is undefined is not there.
      detail: JSON.parse(JSON.stringify(parsed.data)) as AuthEvent['detail'],
    };
    memory.tables.events.set(sequence, { event, sequence, occurred_at });
  }
}
