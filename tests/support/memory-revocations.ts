import type { RevocationOrder } from '../../src/core/credential.ts';
import type { PendingRevocation, RevocationStore } from '../../src/core/ports.ts';
import type { Secret } from '../../src/core/redact.ts';
import { revocationClient, trustOf } from '../../src/core/token-client.ts';
import { secretsOf } from './memory-credential-rows.ts';
import {
  type CredentialRow,
  contextOf,
  instant,
  type MemoryTools,
  type RevocationRow,
  writeEvents,
} from './memory-tables.ts';

const SEALED = ['refresh_token', 'access_token', 'client_secret'] as const;

function enqueue(
  { memory, box, clock }: MemoryTools,
  { refresh_token, access_token, client_secret, ...rest }: Omit<PendingRevocation, 'created_at' | 'attempts'>,
): void {
  const { revocations } = memory.tables;
  if (revocations.has(rest.id)) return;
  const seal = (column: (typeof SEALED)[number], secret: Secret | null) =>
    secret && box.seal(secret, contextOf(rest.key, `revocation.${column}`));
  const now = instant(clock.now());
  const { id, key, actor, binding, origin_of_trust } = rest;
  revocations.set(id, {
    revocation: structuredClone({ id, key, actor, binding, origin_of_trust, created_at: now, attempts: 0 }),
    refresh_token: seal('refresh_token', refresh_token),
    access_token: seal('access_token', access_token),
    client_secret: seal('client_secret', client_secret),
    next_at: now,
  });
}

/** Within the transaction in which the row loses its tokens. */
export function moveToRevocations(tools: MemoryTools, row: CredentialRow, order: RevocationOrder): void {
  const { key, binding } = row.credential;
  const secrets = secretsOf(tools, row);
  if (!secrets || binding === null) return;
  const client = revocationClient(binding, order.config, secrets.client_secret);
  if (client.binding.revocation_endpoint === null) return;
  const { id, actor, config } = order;
  const { refresh_token, access_token } = secrets;
  enqueue(tools, { id, key, actor, ...client, origin_of_trust: trustOf(binding, config), refresh_token, access_token });
}

function open({ box }: MemoryTools, row: RevocationRow) {
  const { id, key, actor, binding, created_at } = row.revocation;
  const opened: Partial<Record<(typeof SEALED)[number], Secret | null>> = {};
  for (const column of SEALED) {
    const sealed = row[column];
    const result = sealed && box.open(sealed, contextOf(key, `revocation.${column}`));
    if (result && !result.opened) return { unreadable: true as const, id, key, actor, binding, created_at };
    opened[column] = result ? result.secret : null;
  }
  const { refresh_token = null, access_token = null, client_secret = null } = opened;
  return { ...structuredClone(row.revocation), refresh_token, access_token, client_secret };
}

export function createMemoryRevocations(tools: MemoryTools): RevocationStore {
  const { memory } = tools;
  return {
    enqueue: async (revocation) => enqueue(tools, revocation),

    async claimDue({ now, lease_until, limit, id }) {
      const due = [...memory.tables.revocations.values()]
        .filter((row) => row.next_at <= now && (id ?? row.revocation.id) === row.revocation.id)
        .sort((a, b) => a.next_at - b.next_at)
        .slice(0, limit);
      return due.map((row) => {
        const attempts = row.revocation.attempts + 1;
        const claimed = { ...row, next_at: instant(lease_until), revocation: { ...row.revocation, attempts } };
        memory.tables.revocations.set(row.revocation.id, claimed);
        return open(tools, claimed);
      });
    },

    finish: async (id, token, key, events) =>
      memory.transaction(() => {
        const { revocations } = memory.tables;
        const row = revocations.get(id);
        if (!row || (token !== 'all' && row[token] === null)) return;
        const left = token === 'all' ? null : row[token === 'refresh_token' ? 'access_token' : 'refresh_token'];
        if (token === 'all' || left === null) revocations.delete(id);
        else revocations.set(id, { ...row, [token]: null });
        writeEvents(tools, key, events);
      }),

    async postpone(id, until) {
      const row = memory.tables.revocations.get(id);
      if (row) memory.tables.revocations.set(id, { ...row, next_at: instant(until) });
    },

    async nextDueAt() {
      const times = [...memory.tables.revocations.values()].map(({ next_at }) => next_at);
      return times.length === 0 ? null : Math.min(...times);
    },
  };
}
