import { systemClock, systemRandom } from '../../src/clock.ts';
import type { NewAuthEvent } from '../../src/core/auth-event.ts';
import type { ConnectionKey, McpConfig } from '../../src/core/connection.ts';
import { mcpConfigSchema } from '../../src/core/connection.ts';
import type {
  ClientBinding,
  Credential,
  Fence,
  RefreshFailure,
  Settlement,
  TokenChange,
} from '../../src/core/credential.ts';
import type { ClaimInput, Clock, Connection, DueQuery, PendingConsent, Random, Stores } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import type { Instant, TokenSet } from '../../src/core/token-set.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { SecretBox } from '../../src/db/secret-box.ts';
import { createSecretBox, keyIdOf } from '../../src/db/secret-box.ts';
import { createStores } from '../../src/db/stores.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { isMemory } from '../support/memory-tables.ts';

export const KEY: ConnectionKey = { kind: 'mcp', name: 'acme' };
export const NOON: Instant = Date.UTC(2026, 10, 23, 12);
export const MINUTE = 60_000;
export const schemas = new Map([['mcp', mcpConfigSchema]]);

export function testBox(fill = 1): SecretBox {
  const key = new Uint8Array(32).fill(fill);
  return createSecretBox({ keys: [{ id: keyIdOf(key), key }], random: systemRandom });
}

export type Fixture = {
  stores: Stores;
  clock: Clock & { time: Instant };
  random: Random;
  box: SecretBox;
  opened: OpenDatabase;
};

/** The stores of whatever was opened: a database, or the memory that stands in for one. */
export function storesIn(opened: OpenDatabase, tools: { clock: Clock; random: Random; box: SecretBox }): Stores {
  if (isMemory(opened)) return createMemoryStores({ ...tools, schemas, memory: opened.memory });
  const { db, claimer } = opened;
  return createStores({ ...tools, db, schemas, claimer });
}

export function storesOf(opened: OpenDatabase, box = testBox()): Fixture {
  const clock = { ...systemClock, time: NOON, now: () => clock.time };
  const stores = storesIn(opened, { clock, random: systemRandom, box });
  return { stores, clock, random: systemRandom, box, opened };
}

export const binding: ClientBinding = {
  issuer: 'https://idp.example',
  authorization_endpoint: 'https://idp.example/authorize',
  token_endpoint: 'https://idp.example/token',
  revocation_endpoint: null,
  client_id: 'client',
  token_endpoint_auth_method: 'client_secret_basic',
  resource: null,
  scope: 'read write',
  client_source: 'config',
};

export function tokens(name: string, more: Partial<TokenSet> = {}): TokenSet {
  return {
    access_token: new Secret(`access-${name}`),
    token_type: 'Bearer',
    refresh_token: new Secret(`refresh-${name}`),
    expires_at: NOON + 60 * MINUTE,
    refresh_expires_at: null,
    scope: null,
    received_at: NOON,
    ...more,
  };
}

export function event(event_type: NewAuthEvent['event_type'] = 'refresh_succeeded'): NewAuthEvent {
  return { event_type, actor: 'system:background-refresh', idp_host: 'idp.example', detail: {} };
}

export function config(more: Partial<McpConfig> = {}): McpConfig {
  return { endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth', ...more };
}

export async function create(stores: Stores, key = KEY, more: Partial<McpConfig> = {}): Promise<Connection> {
  const saved = await stores.connections.save({
    key,
    description: 'test',
    config: config(more),
    source: 'api',
    actor: 'ada@example.com',
    expected_revision: null,
  });
  if (!saved.saved) throw new Error(saved.reason);
  return saved.connection;
}

export function pendingConsent(incarnation: string, more: Partial<PendingConsent> = {}): PendingConsent {
  return {
    key: KEY,
    incarnation,
    redirect_uri: 'https://platform.example/callback',
    code_verifier: new Secret('verifier'),
    binding,
    client_secret: new Secret('client-secret'),
    issuer: 'https://idp.example',
    iss_required: true,
    authorization_url: 'https://idp.example/authorize?state=the-state',
    actor: 'ada@example.com',
    return_url: '/connections/mcp/acme',
    created_at: NOON,
    expires_at: NOON + 10 * MINUTE,
    ...more,
  };
}

export async function readCredential(stores: Stores, key = KEY): Promise<Credential> {
  const credential = await stores.credentials.read(key);
  if (!credential) throw new Error('there is no such connection');
  return credential;
}

/** Sorted by name. */
export async function readCredentials(stores: Stores): Promise<Credential[]> {
  return (await stores.connections.listWithCredentials()).map(({ credential }) => credential);
}

export function connectedChange(
  consent_seq: bigint,
  name = 'f0t0',
  more: Partial<Extract<TokenChange, { type: 'connected' }>> = {},
): TokenChange {
  return {
    type: 'connected',
    token_set: tokens(name),
    attempt_id: `connect-${name}`,
    consent_seq,
    binding,
    client_secret: new Secret('client-secret'),
    refresh_token_fingerprint: `print-${name}`,
    authenticated_by: 'ada@example.com',
    schedule: { at: NOON + 50 * MINUTE, reason: 'access_token_expiring' },
    ...more,
  };
}

export function refreshedChange(
  name: string,
  more: Partial<Extract<TokenChange, { type: 'refreshed' }>> = {},
): TokenChange {
  return {
    type: 'refreshed',
    token_set: tokens(name),
    attempt_id: `refresh-${name}`,
    refresh_token: new Secret(`refresh-${name}`),
    refresh_token_fingerprint: `print-${name}`,
    schedule: { at: NOON + 50 * MINUTE, reason: 'access_token_expiring' },
    ...more,
  };
}

export const revokedChange: Extract<TokenChange, { type: 'revoked' }> = {
  type: 'revoked',
  revocation: { occurred_at: NOON, reason: 'invalid_grant', idp_host: 'idp.example', decided_by: 'idp' },
};

export const disconnectedChange: Extract<TokenChange, { type: 'disconnected' }> = {
  type: 'disconnected',
  revocation: { occurred_at: NOON, reason: 'disconnected', idp_host: 'idp.example', decided_by: 'person' },
};

export function keptChange(attempt_id: string, intent: 'close' | 'keep_open', failure: Partial<RefreshFailure> = {}) {
  const full: RefreshFailure = {
    type: 'transient',
    since: NOON,
    last_at: NOON,
    count: 1,
    idp_error_code: null,
    error_class: 'timeout',
    ...failure,
  };
  return {
    type: 'kept',
    failure: full,
    attempt_id,
    intent,
    schedule: { at: NOON + MINUTE, reason: 'retry' },
  } satisfies TokenChange;
}

export function at(credential: Pick<Credential, 'incarnation' | 'generation'>): Fence {
  return { by: 'generation', incarnation: credential.incarnation, generation: credential.generation };
}

export function lineage(credential: Pick<Credential, 'incarnation' | 'generation'>): Fence {
  return { by: 'lineage', incarnation: credential.incarnation, parent_generation: credential.generation };
}

export function consent(incarnation: string, consent_seq: bigint): Fence {
  return { by: 'consent', incarnation, consent_seq };
}

export function settle(stores: Stores, fence: Fence, change: TokenChange, more: Partial<Settlement> = {}) {
  return stores.credentials.settle({ key: KEY, fence, change, events: [], ...more });
}

/** Connects as the callback would; the credential as it is afterwards. */
export async function connect(stores: Stores, name = 'f0t0', key = KEY, more = {}): Promise<Credential> {
  const { incarnation } = await readCredential(stores, key);
  const seq = await stores.consents.drawConsentSeq();
  const result = await settle(stores, consent(incarnation, seq), connectedChange(seq, name, more), { key });
  if (!result.applied) throw new Error('the connect did not land');
  return readCredential(stores, key);
}

export async function createConnected(stores: Stores, key = KEY, more = {}): Promise<Credential> {
  await create(stores, key);
  return connect(stores, 'f0t0', key, more);
}

export function claimOf(credential: Credential, attempt_id: string, more: Partial<ClaimInput> = {}): ClaimInput {
  return {
    key: credential.key,
    incarnation: credential.incarnation,
    generation: credential.generation,
    expected_attempt_id: null,
    attempt_id,
    replica_id: 'replica-a',
    boot_id: 1n,
    refresh_token_fingerprint: 'print-f0t0',
    ...more,
  };
}

export function due(more: Partial<DueQuery> = {}): DueQuery {
  return {
    now: NOON + 55 * MINUTE,
    lease_ms: 90_000,
    exclude_lock_keys: [],
    exclude_hosts: [],
    limit: 10,
    ...more,
  };
}

export async function accessTokenOf(stores: Stores, key = KEY): Promise<string | undefined> {
  return (await stores.credentials.readAccessToken(key))?.access_token?.reveal();
}
