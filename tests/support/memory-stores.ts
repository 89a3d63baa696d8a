import { type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import { splitSecrets } from '../../src/core/connection-secrets.ts';
import { AppError } from '../../src/core/errors.ts';
import type {
  AccessStore,
  AuthEventStore,
  CatalogStore,
  ConnectionStore,
  ConsentStore,
  PendingConsent,
  PublishedName,
  RegistrationStore,
  ReplicaStore,
  SaveConnection,
  SaveResult,
  Stores,
} from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { toConnection } from '../../src/db/connection-rows.ts';
import { createMemoryCallRecords } from './memory-call-records.ts';
import { newCredentialRow, secretsOf, shown } from './memory-credential-rows.ts';
import { createMemoryCredentials } from './memory-credentials.ts';
import { createMemoryIncidents } from './memory-incidents.ts';
import { createMemoryRevocations, moveToRevocations } from './memory-revocations.ts';
import { settleWithin } from './memory-settlement.ts';
import {
  byLabel,
  type ConsentRow,
  connectionGone,
  contextOf,
  instant,
  type MemoryTools,
  writeEvents,
} from './memory-tables.ts';
import { createMemoryToolChanges } from './memory-tool-changes.ts';

/** A callback is exchanged within this time. */
const EXCHANGE_MS = 600_000;

const isOf = (key: ConnectionKey, other: ConnectionKey) => connectionLabel(key) === connectionLabel(other);

function removeWhere<Key, Row>(table: Map<Key, Row>, gone: (row: Row) => boolean): number {
  const keys = [...table].filter(([, row]) => gone(row)).map(([key]) => key);
  for (const key of keys) table.delete(key);
  return keys.length;
}

/** Thrown inside the transaction to undo it, and caught around it. */
class NotSaved extends Error {
  readonly reason: 'changed' | 'exists';

  constructor(reason: 'changed' | 'exists') {
    super(reason);
    this.reason = reason;
  }
}

function readConnection({ memory, box, schemas }: MemoryTools, label: string) {
  const row = memory.tables.connections.get(label);
  const { access_token = null, refresh_token = null } = memory.tables.credentials.get(label) ?? {};
  return row && toConnection(box, schemas, { ...structuredClone(row), access_token, refresh_token });
}

function writeConnection(tools: MemoryTools, input: SaveConnection): void {
  const { memory, clock, random, box } = tools;
  const { key, source, description, actor, config, expected_revision } = input;
  const label = connectionLabel(key);
  const stored = memory.tables.connections.get(label);
  if (expected_revision === null && stored) throw new NotSaved('exists');
  if (expected_revision !== null && stored?.revision !== expected_revision) throw new NotSaved('changed');
  const now = new Date(clock.now());
  const { open, secrets } = splitSecrets(config);
  const secret = new Secret(JSON.stringify(secrets));
  const incarnation = stored?.incarnation ?? random.uuid();
  memory.tables.connections.set(label, {
    kind: key.kind,
    name: key.name,
    incarnation,
    source,
    description,
    config: JSON.parse(JSON.stringify(open)) as Record<string, unknown>,
    config_secrets: Object.keys(secrets).length === 0 ? null : box.seal(secret, contextOf(key, 'config_secrets')),
    revision: memory.draw(),
    created_at: stored?.created_at ?? now,
    updated_at: now,
    updated_by: actor,
  });
  if (!stored) memory.tables.credentials.set(label, newCredentialRow(tools, key, incarnation));
}

/** A number that outranks every consent so far (rule 3). */
function dropConsents({ memory }: MemoryTools, key: ConnectionKey): void {
  const { consents, credentials } = memory.tables;
  removeWhere(consents, ({ consent }) => isOf(key, consent.key));
  const row = credentials.get(connectionLabel(key));
  if (!row) return;
  const credential = { ...row.credential, consent_seq: memory.draw() };
  credentials.set(connectionLabel(key), { ...row, credential });
}

function createConnections(tools: MemoryTools): ConnectionStore {
  const { memory } = tools;
  return {
    async list() {
      const connections = [...memory.tables.connections.keys()].flatMap((label) => readConnection(tools, label) ?? []);
      return connections.sort(byLabel);
    },

    async listWithCredentials() {
      const rows = [...memory.tables.connections.keys()].flatMap((label) => {
        const connection = readConnection(tools, label);
        const row = memory.tables.credentials.get(label);
        return connection && row ? [{ connection, credential: shown(tools, row) }] : [];
      });
      return rows.sort((a, b) => byLabel(a.connection, b.connection));
    },

    read: async (key) => readConnection(tools, connectionLabel(key)),

    async save(input): Promise<SaveResult> {
      try {
        return memory.transaction((): SaveResult => {
          writeConnection(tools, input);
          if (input.settlement && !settleWithin(tools, input.settlement).applied) throw new NotSaved('changed');
          if (input.drop_consents) dropConsents(tools, input.key);
          const connection = readConnection(tools, connectionLabel(input.key));
          if (!connection) throw new Error('what was written is not there');
          return { saved: true, connection };
        });
      } catch (error) {
        if (error instanceof NotSaved) return { saved: false, reason: error.reason };
        throw error;
      }
    },

    delete: async (key, incarnation, eventsFor, revoke) =>
      memory.transaction(() => {
        const { connections, credentials, consents, clients, catalog, names } = memory.tables;
        const label = connectionLabel(key);
        const row = credentials.get(label);
        if (connections.get(label)?.incarnation !== incarnation || !row) return { deleted: false };
        const credential = shown(tools, row);
        if (revoke) moveToRevocations(tools, row, revoke);
        for (const table of [connections, credentials, catalog]) table.delete(label);
        removeWhere(consents, ({ consent }) => isOf(key, consent.key));
        removeWhere(clients, (client) => isOf(key, client.key));
        removeWhere(names, (name) => isOf(key, name));
        writeEvents(tools, key, eventsFor(credential));
        return { deleted: true, credential, secrets: secretsOf(tools, row) };
      }),
  };
}

function createEvents(tools: MemoryTools): AuthEventStore {
  const { memory } = tools;
  return {
    append: async (key, events) => memory.transaction(() => writeEvents(tools, key, events)),

    async list({ key, type = [], before, limit }) {
      if (before !== undefined && !/^\d{1,18}$/.test(before)) {
        throw new AppError('invalid_request', 'before must be the sequence of an event.');
      }
      const chosen = [...memory.tables.events.values()].filter(
        ({ event, sequence }) =>
          (!key || isOf(key, { kind: event.connection_kind, name: event.connection_name })) &&
          (type.length === 0 || type.includes(event.event_type)) &&
          (before === undefined || sequence < BigInt(before)),
      );
      return chosen
        .reverse()
        .slice(0, limit)
        .map(({ event }) => structuredClone(event));
    },

    async prune(before, limit) {
      const old = [...memory.tables.events.values()].filter(({ occurred_at }) => occurred_at < before);
      const gone = old.sort((a, b) => a.occurred_at - b.occurred_at).slice(0, limit);
      for (const { sequence } of gone) memory.tables.events.delete(sequence);
      return gone.length;
    },
  };
}

/** undefined when a part does not open: such a flow cannot be finished. */
function openConsent({ box }: MemoryTools, row: ConsentRow): PendingConsent | undefined {
  const { key } = row.consent;
  const verifier = box.open(row.code_verifier, contextOf(key, 'code_verifier'));
  const secret = row.client_secret && box.open(row.client_secret, contextOf(key, 'consent.client_secret'));
  if (!verifier.opened || (secret && !secret.opened)) return undefined;
  return { ...structuredClone(row.consent), code_verifier: verifier.secret, client_secret: secret?.secret ?? null };
}

function createConsents(tools: MemoryTools): ConsentStore {
  const { memory, clock, box } = tools;
  /** One that nobody has consumed and that has not expired. */
  const begun = (state: string) => {
    const row = memory.tables.consents.get(state);
    return row && row.consumed_at === null && row.consent.expires_at > clock.now() ? row : undefined;
  };
  const replace = (state: string, row: ConsentRow) => memory.tables.consents.set(state, row);
  return {
    async create(state, { code_verifier, client_secret, ...consent }) {
      const { key, incarnation } = consent;
      if (memory.tables.connections.get(connectionLabel(key))?.incarnation !== incarnation) throw connectionGone();
      replace(state, {
        consent: structuredClone(consent),
        code_verifier: box.seal(code_verifier, contextOf(key, 'code_verifier')),
        client_secret: client_secret && box.seal(client_secret, contextOf(key, 'consent.client_secret')),
        browser_binding_hash: null,
        consumed_at: null,
        consent_seq: null,
      });
    },

    async bind(state, browser_binding_hash) {
      const row = begun(state);
      if (!row || (row.browser_binding_hash ?? browser_binding_hash) !== browser_binding_hash) return false;
      replace(state, { ...row, browser_binding_hash });
      return true;
    },

    async peek(state) {
      const row = begun(state);
      const consent = row && openConsent(tools, row);
      return row && consent && { consent, browser_binding_hash: row.browser_binding_hash };
    },

    async consume(state) {
      const row = begun(state);
      if (!row) return undefined;
      const consent = openConsent(tools, row);
      const consent_seq = memory.draw();
      if (consent) replace(state, { ...row, consumed_at: instant(clock.now()), consent_seq });
      else memory.tables.consents.delete(state);
      return consent && { consent, consent_seq };
    },

    async finish(state) {
      memory.tables.consents.delete(state);
    },

    drawConsentSeq: async () => memory.draw(),

    async pending(key, at) {
      const applied = memory.tables.credentials.get(connectionLabel(key))?.credential.consent_seq ?? 0n;
      return [...memory.tables.consents.values()].some(({ consent, consumed_at, consent_seq }) => {
        if (!isOf(key, consent.key)) return false;
        if (consumed_at === null) return consent.expires_at > at;
        return consumed_at > at - EXCHANGE_MS && (consent_seq ?? 0n) > applied;
      });
    },

    prune: async (at) =>
      removeWhere(
        memory.tables.consents,
        ({ consent, consumed_at }) =>
          consent.expires_at <= at && (consumed_at === null || consumed_at <= at - EXCHANGE_MS),
      ),
  };
}

function createRegistrations({ memory, box }: MemoryTools): RegistrationStore {
  const labelOf = (key: ConnectionKey, issuer: string, redirect_uri: string) =>
    JSON.stringify([key.kind, key.name, issuer, redirect_uri]);
  return {
    async read(key, issuer, redirect_uri) {
      const row = memory.tables.clients.get(labelOf(key, issuer, redirect_uri));
      const opened = row?.client_secret && box.open(row.client_secret, contextOf(key, 'registered'));
      if (!row || (opened && !opened.opened)) return undefined;
      return { ...row.client, client_secret: opened ? opened.secret : null };
    },

    async save(key, { client_secret, ...client }) {
      if (!memory.tables.connections.has(connectionLabel(key))) throw connectionGone();
      memory.tables.clients.set(labelOf(key, client.issuer, client.redirect_uri), {
        key: { ...key },
        client,
        client_secret: client_secret && box.seal(client_secret, contextOf(key, 'registered')),
      });
    },

    async forget(key, issuer, client_id) {
      removeWhere(
        memory.tables.clients,
        ({ key: of, client }) =>
          isOf(key, of) && client.issuer === issuer && (client_id ?? client.client_id) === client.client_id,
      );
    },
  };
}

function createReplicas({ memory }: MemoryTools): ReplicaStore {
  return {
    async boot(replica_id) {
      const boot_id = memory.draw();
      const { drained_boot = null } = memory.tables.replicas.get(replica_id) ?? {};
      memory.tables.replicas.set(replica_id, { boot_id, last_seen: memory.now(), drained_boot });
      return boot_id;
    },

    async seen(replica_id, boot_id) {
      const row = memory.tables.replicas.get(replica_id);
      if (!row || (boot_id ?? row.boot_id) !== row.boot_id) return false;
      memory.tables.replicas.set(replica_id, { ...row, last_seen: memory.now() });
      return true;
    },

    async drained(replica_id, boot_id) {
      const row = memory.tables.replicas.get(replica_id);
      if (!row || (row.drained_boot ?? 0n) >= boot_id) return;
      memory.tables.replicas.set(replica_id, { ...row, drained_boot: boot_id });
    },
  };
}

function createCatalog({ memory }: MemoryTools): CatalogStore {
  return {
    list: async () => structuredClone([...memory.tables.catalog.values()].sort(byLabel)),
    read: async (key) => structuredClone(memory.tables.catalog.get(connectionLabel(key))),

    async save(entry) {
      const label = connectionLabel(entry.key);
      if (memory.tables.connections.get(label)?.incarnation !== entry.incarnation) return;
      memory.tables.catalog.set(label, structuredClone(entry));
    },

    async names() {
      const order = ({ item, published_name }: PublishedName) => `${item} ${published_name}`;
      const names = [...memory.tables.names.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
      return structuredClone(names);
    },

    async saveNames(given) {
      const { connections, names } = memory.tables;
      for (const { item, published_name, kind, name, tool } of given) {
        const same = (one: PublishedName) => one.item === item && one.tool === tool && isOf(one, { kind, name });
        const named = [...names.values()].some(same);
        if (named || names.has(`${item} ${published_name}`) || !connections.has(connectionLabel({ kind, name })))
          continue;
        names.set(`${item} ${published_name}`, { item, published_name, kind, name, tool });
      }
    },
  };
}

function createAccess({ memory }: MemoryTools): AccessStore {
  return {
    async createSignInLink(token_hash, actor, expires_at) {
      memory.tables.links.set(token_hash, { actor, expires_at });
    },

    async consumeSignInLink(token_hash, now) {
      const link = memory.tables.links.get(token_hash);
      if (!link || link.expires_at <= now) return undefined;
      memory.tables.links.delete(token_hash);
      return link.actor;
    },

    async createSession(session_hash, actor, expires_at) {
      memory.tables.sessions.set(session_hash, { actor, expires_at });
    },

    async readSession(session_hash, now) {
      const session = memory.tables.sessions.get(session_hash);
      return session && session.expires_at > now ? { ...session } : undefined;
    },

    async deleteSession(session_hash) {
      memory.tables.sessions.delete(session_hash);
    },

    async pruneExpired(now) {
      const ended = ({ expires_at }: { expires_at: number }) => expires_at <= now;
      return removeWhere(memory.tables.links, ended) + removeWhere(memory.tables.sessions, ended);
    },
  };
}

/**
 * Every store without a database, for runs of the flows by the thousand. Each method is one step, so one transaction.
 * It passes the suites of the real engines but for what `memory-cases.ts` lists.
 */
export function createMemoryStores(tools: MemoryTools): Stores {
  return {
    connections: createConnections(tools),
    credentials: createMemoryCredentials(tools),
    events: createEvents(tools),
    consents: createConsents(tools),
    registrations: createRegistrations(tools),
    revocations: createMemoryRevocations(tools),
    incidents: createMemoryIncidents(tools),
    replicas: createReplicas(tools),
    catalog: createCatalog(tools),
    access: createAccess(tools),
    calls: createMemoryCallRecords(tools),
    toolChanges: createMemoryToolChanges(tools),
  };
}
