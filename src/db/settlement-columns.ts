import type { Kysely } from 'kysely';
import type { Settlement, TokenChange } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import type { Secret } from '../core/redact.ts';
import type { TokenSet } from '../core/token-set.ts';
import { draw, toTimestamp } from './column-values.ts';
import type { BoxedColumn, CredentialRow } from './credential-rows.ts';
import { moveToRevocations } from './revocations.ts';
import type { Database } from './schema.ts';
import type { SecretBox } from './secret-box.ts';
import type { SettlementTools } from './settlement-tools.ts';
import { givenBack } from './taken-intent.ts';

export type Columns = Partial<CredentialRow>;

export const CLOSED_INTENT = {
  intent_attempt_id: null,
  intent_replica_id: null,
  intent_boot_id: null,
  intent_fingerprint: null,
  intent_at: null,
  taken_intent: null,
} satisfies Columns;

/** An ambiguity, too, ends with a success, a consent or a revocation, and with nothing else. */
const SETTLED = {
  ambiguous: false,
  failure_type: null,
  failure_since: null,
  failure_last_at: null,
  failure_count: null,
  failure_error_code: null,
  failure_error_class: null,
  held_since: null,
} satisfies Columns;

const NOT_REVOKED = {
  revocation_occurred_at: null,
  revocation_reason: null,
  revocation_idp_host: null,
  revocation_decided_by: null,
  revoked_from_generation: null,
} satisfies Columns;

/** What a change writes; a Disconnect writes beside the row, too. */
export async function changedColumns(
  transaction: Kysely<Database>,
  tools: SettlementTools,
  row: CredentialRow,
  { change, fence }: Settlement,
): Promise<Columns> {
  switch (change.type) {
    case 'refreshed':
      return refreshedColumns(tools.box, row, change);
    case 'connected':
      return connectedColumns(tools.box, row, change);
    case 'kept':
      return keptColumns(row, change);
    case 'revoked':
      return revokedColumns(row, change);
    case 'disconnected': {
      // Rule 3: no consent that was begun before this may land after it. Those that nobody has finished yet go first,
      // so that none can draw a greater number.
      const { kind, name } = row;
      await transaction.deleteFrom('oauth_states').where('kind', '=', kind).where('name', '=', name).execute();
      const consent_seq = fence.by === 'consent' ? fence.consent_seq : await draw(transaction, 'consent_seq');
      if (row.state === 'never_connected') return { ...SETTLED, consent_seq };
      if (change.revoke) await moveToRevocations(transaction, tools, row, change.revoke);
      return { ...revokedColumns(row, change), consent_seq, client_secret: null };
    }
  }
}

function seal(box: SecretBox, row: CredentialRow, column: BoxedColumn, secret: Secret | null): Uint8Array | null {
  return secret === null ? null : box.seal(secret, { kind: row.kind, name: row.name, column });
}

function tokenColumns(box: SecretBox, row: CredentialRow, tokens: TokenSet, refreshToken: Secret | null): Columns {
  return {
    ...SETTLED,
    ...NOT_REVOKED,
    state: 'connected',
    access_token: seal(box, row, 'access_token', tokens.access_token),
    refresh_token: seal(box, row, 'refresh_token', refreshToken),
    token_type: tokens.token_type,
    expires_at: toTimestamp(tokens.expires_at),
    received_at: toTimestamp(tokens.received_at),
    refresh_used_at: toTimestamp(tokens.received_at),
  };
}

function scheduleColumns(schedule: { at: number; reason: CredentialRow['next_refresh_reason'] } | null): Columns {
  return {
    next_refresh_at: schedule ? toTimestamp(schedule.at) : null,
    next_refresh_reason: schedule ? schedule.reason : null,
  };
}

function refreshedColumns(
  box: SecretBox,
  row: CredentialRow,
  change: Extract<TokenChange, { type: 'refreshed' }>,
): Columns {
  const tokens = change.token_set;
  // A repeated refresh token keeps the deadline that was told with it; a new one has only the deadline told now.
  const rotated =
    tokens.refresh_token !== undefined && change.refresh_token_fingerprint !== row.refresh_token_fingerprint;
  const keptDeadline = rotated ? null : row.refresh_expires_at;
  return {
    ...tokenColumns(box, row, tokens, change.refresh_token ?? tokens.refresh_token ?? null),
    ...scheduleColumns(change.schedule),
    scope: tokens.scope ?? row.scope,
    refresh_expires_at: toTimestamp(tokens.refresh_expires_at) ?? keptDeadline,
    refresh_deadline_fixed: change.refresh_deadline_fixed ?? false,
    refresh_token_fingerprint: change.refresh_token_fingerprint,
    last_refreshed_at: toTimestamp(tokens.received_at),
    refresh_sent_at: toTimestamp(change.sent_at ?? tokens.received_at),
    settled_attempt_id: change.attempt_id,
  };
}

function connectedColumns(
  box: SecretBox,
  row: CredentialRow,
  change: Extract<TokenChange, { type: 'connected' }>,
): Columns {
  const tokens = change.token_set;
  return {
    ...tokenColumns(box, row, tokens, tokens.refresh_token ?? null),
    ...scheduleColumns(change.schedule),
    // RFC 6749 §5.1: an answer without a scope grants what was asked for.
    scope: tokens.scope ?? change.binding.scope,
    refresh_expires_at: toTimestamp(tokens.refresh_expires_at),
    refresh_deadline_fixed: false,
    refresh_token_fingerprint: change.refresh_token_fingerprint,
    last_refreshed_at: null,
    refresh_sent_at: null,
    settled_attempt_id: change.attempt_id,
    consent_seq: change.consent_seq,
    binding: change.binding,
    token_host: idpHostOf(change.binding),
    client_secret: seal(box, row, 'client_secret', change.client_secret),
    authenticated_by: change.authenticated_by,
    authenticated_at: toTimestamp(tokens.received_at),
  };
}

/** Rule 8: an older ambiguity outlives the intent of an attempt, and so does the older intent, which tells who may hold an answer. */
function keptColumns(row: CredentialRow, change: Extract<TokenChange, { type: 'kept' }>): Columns {
  const { failure } = change;
  return {
    ...(change.intent === 'close' ? givenBack(row) : { ambiguous: true }),
    ...scheduleColumns(change.schedule),
    failure_type: failure.type,
    failure_since: toTimestamp(failure.since),
    failure_last_at: toTimestamp(failure.last_at),
    failure_count: failure.count,
    failure_error_code: failure.idp_error_code,
    failure_error_class: failure.error_class,
    held_since: toTimestamp(failure.held_since ?? null),
  };
}

/**
 * Binding, scope and who consented stay: an escrowed successor that lifts the verdict (rule 13) carries on with them.
 */
function revokedColumns(
  row: CredentialRow,
  change: Extract<TokenChange, { type: 'revoked' | 'disconnected' }>,
): Columns {
  const { revocation } = change;
  return {
    ...SETTLED,
    state: 'revoked',
    access_token: null,
    refresh_token: null,
    expires_at: null,
    next_refresh_at: null,
    next_refresh_reason: null,
    revocation_occurred_at: toTimestamp(revocation.occurred_at),
    revocation_reason: revocation.reason,
    revocation_idp_host: revocation.idp_host,
    revocation_decided_by: revocation.decided_by,
    revoked_from_generation: row.generation,
  };
}
