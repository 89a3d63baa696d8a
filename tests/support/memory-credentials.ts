import { type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import { type Credential, idpHostOf } from '../../src/core/credential.ts';
import type { AttemptView, CredentialStore, DueQuery } from '../../src/core/ports.ts';
import type { BoxedColumn } from '../../src/db/credential-rows.ts';
import { givenBack, opened, secretsOf, shown } from './memory-credential-rows.ts';
import { settleWithin } from './memory-settlement.ts';
import { type CredentialRow, contextOf, instant, type MemoryTools } from './memory-tables.ts';

/** Written with a key that we hold. */
function readable({ box }: MemoryTools, { credential: { key }, access_token, refresh_token }: CredentialRow): boolean {
  const ours = (value: Uint8Array, column: BoxedColumn) => {
    const result = box.open(value, contextOf(key, column));
    return result.opened || result.reason === 'tampered';
  };
  if (access_token === null || !ours(access_token, 'access_token')) return false;
  return refresh_token === null || ours(refresh_token, 'refresh_token');
}

/** Not the intent of another replica that lives (rule 15). */
function resolvable({ memory }: MemoryTools, { credential }: CredentialRow, query: DueQuery): boolean {
  const { intent } = credential;
  const { replica_id, owner_wait_ms } = query;
  if (replica_id === undefined || owner_wait_ms === undefined || !intent || intent.replica_id === replica_id)
    return true;
  const owner = memory.tables.replicas.get(intent.replica_id);
  const alive = owner && owner.last_seen > memory.now() - owner_wait_ms;
  return !(alive && (owner.drained_boot ?? 0n) <= intent.boot_id);
}

/** While many fail at a host, it is asked by its probe alone, and by refusals that were held for long. */
function askable({ memory }: MemoryTools, { credential }: CredentialRow, query: DueQuery): boolean {
  const host = idpHostOf(credential.binding) ?? '';
  if (query.probe_host !== undefined) return host === query.probe_host;
  const held = credential.failure?.held_since ?? Number.POSITIVE_INFINITY;
  return !memory.tables.incidents.has(host) || held <= (query.held_before ?? Number.NEGATIVE_INFINITY);
}

function isDue(tools: MemoryTools, row: CredentialRow, query: DueQuery): boolean {
  const { state, lock_key, binding, next_refresh_at } = row.credential;
  return (
    next_refresh_at !== null &&
    next_refresh_at <= instant(query.now) &&
    state === 'connected' &&
    (row.intent_at === null || row.intent_at < tools.memory.now() - query.lease_ms) &&
    !query.exclude_lock_keys.includes(lock_key) &&
    !query.exclude_hosts.includes(idpHostOf(binding) ?? '') &&
    askable(tools, row, query) &&
    resolvable(tools, row, query) &&
    readable(tools, row)
  );
}

const soonest = (a: CredentialRow, b: CredentialRow) =>
  (a.credential.next_refresh_at ?? 0) - (b.credential.next_refresh_at ?? 0);

export function createMemoryCredentials(tools: MemoryTools): CredentialStore {
  const { memory } = tools;
  const rowOf = (key: ConnectionKey) => memory.tables.credentials.get(connectionLabel(key));
  const rows = () => [...memory.tables.credentials.values()];
  const put = (row: CredentialRow, more: Partial<Credential>, intent_at = row.intent_at) =>
    memory.tables.credentials.set(connectionLabel(row.credential.key), {
      ...row,
      intent_at,
      credential: { ...row.credential, ...more },
    });

  return {
    async read(key) {
      const row = rowOf(key);
      return row && shown(tools, row);
    },

    async readAccessToken(key) {
      const row = rowOf(key);
      return row && { credential: shown(tools, row), access_token: opened(tools, row, 'access_token') ?? null };
    },

    async readForAttempt(key): Promise<AttemptView | undefined> {
      const row = rowOf(key);
      if (!row) return undefined;
      const owner = memory.tables.replicas.get(row.credential.intent?.replica_id ?? '');
      const intent_owner = owner
        ? { last_seen_age_ms: memory.now() - owner.last_seen, drained_boot: owner.drained_boot }
        : null;
      return { credential: shown(tools, row), secrets: secretsOf(tools, row), intent_owner };
    },

    async claimDue(query) {
      const due = rows().filter((row) => isDue(tools, row, query));
      return due
        .sort(soonest)
        .slice(0, Math.max(query.limit, 0))
        .map(({ credential: { key, lock_key, next_refresh_reason, binding } }) => {
          return { key, lock_key, next_refresh_reason, idp_host: idpHostOf(binding) };
        });
    },

    async nextDueAt() {
      const [next] = rows()
        .filter((row) => row.credential.next_refresh_at !== null && readable(tools, row))
        .filter(({ credential }) => !memory.tables.incidents.has(idpHostOf(credential.binding) ?? ''))
        .sort(soonest);
      const probes = [...memory.tables.incidents.values()].map(({ probe_at }) => probe_at);
      const due = [next?.credential.next_refresh_at ?? [], probes].flat();
      return due.length === 0 ? null : Math.min(...due);
    },

    async claimIntent(claim) {
      const { key, incarnation, generation, expected_attempt_id, ...intent } = claim;
      const row = rowOf(key);
      if (row?.credential.incarnation !== incarnation || row.credential.generation !== generation) return false;
      const { state, intent: open, ambiguous } = row.credential;
      if (state !== 'connected' || (open?.attempt_id ?? null) !== expected_attempt_id) return false;
      const given_up = expected_attempt_id !== null;
      const taken = open && { intent: open, intent_at: row.intent_at };
      put({ ...row, taken }, { intent: { ...intent, age_ms: 0 }, ambiguous: ambiguous || given_up }, memory.now());
      return true;
    },

    async withdrawIntent(key, attempt_id) {
      const row = rowOf(key);
      if (row?.credential.intent?.attempt_id === attempt_id) put(givenBack(row), {});
    },

    settle: async (settlement) => memory.transaction(() => settleWithin(tools, settlement)),

    async postpone(key, incarnation, generation, until) {
      const row = rowOf(key);
      if (row?.credential.incarnation !== incarnation || row.credential.generation !== generation) return;
      if (row.credential.state === 'connected') put(row, { next_refresh_at: instant(until) });
    },
  };
}
