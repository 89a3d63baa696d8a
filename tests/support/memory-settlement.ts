import { type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import type { Credential, Fence, Schedule, Settlement, SettleResult, TokenChange } from '../../src/core/credential.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Secret } from '../../src/core/redact.ts';
import type { TokenFacts } from '../../src/core/token-set.ts';
import type { BoxedColumn } from '../../src/db/credential-rows.ts';
import type { SecretBox } from '../../src/db/secret-box.ts';
import { givenBack, shown } from './memory-credential-rows.ts';
import { moveToRevocations } from './memory-revocations.ts';
import { type CredentialRow, contextOf, instant, type MemoryTools, writeEvents } from './memory-tables.ts';

/** Protocol rules 11, 13, 18 and 19. */
function fits(current: Credential, fence: Fence): boolean {
  if (current.incarnation !== fence.incarnation) return false;
  if (fence.by === 'generation') return current.generation === fence.generation;
  if (fence.by === 'consent') return current.consent_seq < fence.consent_seq;
  if (current.generation === fence.parent_generation) return true;
  const verdict = current.state === 'revoked' ? current.revocation : null;
  return verdict?.from_generation === fence.parent_generation && verdict.decided_by !== 'person';
}

/** A failure is told once: for its own open intent, and counting on from the last one. */
function isToldAlready({ intent, failure }: Credential, change: TokenChange): boolean {
  if (change.type !== 'kept') return false;
  const taken = change.intent === 'close' && intent?.attempt_id !== change.attempt_id;
  return taken || change.failure.count !== (failure?.count ?? 0) + 1;
}

function sealed(box: SecretBox, key: ConnectionKey, column: BoxedColumn, secret: Secret | null): Uint8Array | null {
  return secret && box.seal(secret, contextOf(key, column));
}

const scheduled = (schedule: Schedule) => ({
  next_refresh_at: schedule && instant(schedule.at),
  next_refresh_reason: schedule?.reason ?? null,
});

/** The tokens that a consent or a refresh brought; `facts` is what the two do not have in common. */
function withTokens(
  { box }: MemoryTools,
  row: CredentialRow,
  change: Extract<TokenChange, { type: 'refreshed' | 'connected' }>,
  refreshToken: Secret | null,
  facts: Pick<
    TokenFacts,
    | 'scope'
    | 'refresh_expires_at'
    | 'refresh_deadline_fixed'
    | 'last_refreshed_at'
    | 'authenticated_by'
    | 'authenticated_at'
  >,
): CredentialRow {
  const { key } = row.credential;
  const tokens = change.token_set;
  const token: TokenFacts = {
    token_type: tokens.token_type,
    expires_at: instant(tokens.expires_at),
    has_refresh_token: refreshToken !== null,
    refresh_token_fingerprint: change.refresh_token_fingerprint,
    received_at: instant(tokens.received_at),
    refresh_used_at: instant(tokens.received_at),
    ...facts,
  };
  return {
    ...row,
    access_token: sealed(box, key, 'access_token', tokens.access_token),
    refresh_token: sealed(box, key, 'refresh_token', refreshToken),
    credential: {
      ...row.credential,
      state: 'connected',
      token,
      ambiguous: false,
      failure: null,
      revocation: null,
      settled_attempt_id: change.attempt_id,
      ...scheduled(change.schedule),
    },
  };
}

function refreshed(tools: MemoryTools, row: CredentialRow, change: Extract<TokenChange, { type: 'refreshed' }>) {
  const { token_set } = change;
  const before = row.credential.token;
  const rotated =
    token_set.refresh_token !== undefined && change.refresh_token_fingerprint !== before?.refresh_token_fingerprint;
  const refresh_sent_at = instant(change.sent_at ?? token_set.received_at);
  const sent = { ...row, refresh_sent_at };
  return withTokens(tools, sent, change, change.refresh_token ?? token_set.refresh_token ?? null, {
    scope: token_set.scope ?? before?.scope ?? null,
    refresh_expires_at:
      instant(token_set.refresh_expires_at) ?? (rotated ? null : (before?.refresh_expires_at ?? null)),
    refresh_deadline_fixed: change.refresh_deadline_fixed ?? false,
    last_refreshed_at: instant(token_set.received_at),
    authenticated_by: before?.authenticated_by ?? null,
    authenticated_at: before?.authenticated_at ?? null,
  });
}

function connected(tools: MemoryTools, row: CredentialRow, change: Extract<TokenChange, { type: 'connected' }>) {
  const { token_set, binding, client_secret } = change;
  const next = withTokens(tools, row, change, token_set.refresh_token ?? null, {
    scope: token_set.scope ?? binding.scope,
    refresh_expires_at: instant(token_set.refresh_expires_at),
    refresh_deadline_fixed: false,
    last_refreshed_at: null,
    authenticated_by: change.authenticated_by,
    authenticated_at: instant(token_set.received_at),
  });
  return {
    ...next,
    refresh_sent_at: null,
    client_secret: sealed(tools.box, row.credential.key, 'client_secret', client_secret),
    credential: { ...next.credential, consent_seq: change.consent_seq, binding: structuredClone(binding) },
  };
}

function revoked(row: CredentialRow, change: Extract<TokenChange, { type: 'revoked' | 'disconnected' }>) {
  const { credential } = row;
  const { occurred_at } = change.revocation;
  return {
    ...row,
    access_token: null,
    refresh_token: null,
    credential: {
      ...credential,
      state: 'revoked' as const,
      token: credential.token && { ...credential.token, expires_at: null },
      ambiguous: false,
      failure: null,
      revocation: {
        ...change.revocation,
        occurred_at: instant(occurred_at),
        from_generation: credential.generation,
      },
      ...scheduled(null),
    },
  };
}

/** Rule 8: an older ambiguity outlives the intent of an attempt. */
function kept(row: CredentialRow, change: Extract<TokenChange, { type: 'kept' }>): CredentialRow {
  const { credential } = row;
  if (credential.state !== 'connected' && change.schedule) {
    throw new AppError('internal', 'Only a connected credential can be due.');
  }
  const closes = change.intent === 'close';
  const { since, last_at, held_since } = change.failure;
  const next = closes ? givenBack(row) : row;
  return {
    ...next,
    credential: {
      ...next.credential,
      ambiguous: credential.ambiguous || change.intent === 'keep_open',
      failure: {
        ...change.failure,
        since: instant(since),
        last_at: instant(last_at),
        ...(held_since === undefined ? {} : { held_since: instant(held_since) }),
      },
      ...scheduled(change.schedule),
    },
  };
}

function changed(tools: MemoryTools, row: CredentialRow, { change, fence }: Settlement): CredentialRow {
  switch (change.type) {
    case 'refreshed':
      return refreshed(tools, row, change);
    case 'connected':
      return connected(tools, row, change);
    case 'kept':
      return kept(row, change);
    case 'revoked':
      return revoked(row, change);
    case 'disconnected': {
      const { consents } = tools.memory.tables;
      const label = connectionLabel(row.credential.key);
      for (const [state, { consent }] of [...consents]) {
        if (connectionLabel(consent.key) === label) consents.delete(state);
      }
      const never = row.credential.state === 'never_connected';
      if (!never && change.revoke) moveToRevocations(tools, row, change.revoke);
      const next = revoked(row, change);
      const consent_seq = fence.by === 'consent' ? fence.consent_seq : tools.memory.draw();
      if (never) return { ...row, credential: { ...row.credential, failure: null, consent_seq } };
      return { ...next, client_secret: null, credential: { ...next.credential, consent_seq } };
    }
  }
}

/** Within a transaction of the caller. */
export function settleWithin(tools: MemoryTools, settlement: Settlement): SettleResult {
  const { credentials } = tools.memory.tables;
  const { key, fence, change, events } = settlement;
  const row = credentials.get(connectionLabel(key));
  if (!row) return { applied: false, current: undefined };
  if (!fits(row.credential, fence) || isToldAlready(row.credential, change)) {
    return { applied: false, current: shown(tools, row) };
  }
  const drawn = change.type === 'kept' ? undefined : tools.memory.draw();
  const next = changed(tools, row, settlement);
  const settled =
    drawn === undefined
      ? next
      : { ...next, intent_at: null, taken: null, credential: { ...next.credential, intent: null, generation: drawn } };
  credentials.set(connectionLabel(key), settled);
  writeEvents(tools, key, events, drawn);
  return { applied: true, generation: settled.credential.generation, current: shown(tools, settled) };
}
