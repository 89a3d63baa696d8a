import type { ConnectionKey } from '../../src/core/connection.ts';
import { type Credential, type CredentialSecrets, idpHostOf } from '../../src/core/credential.ts';
import type { Secret } from '../../src/core/redact.ts';
import { lockKeyOf } from '../../src/db/connection-rows.ts';
import { type BoxedColumn, openColumn } from '../../src/db/credential-rows.ts';
import type { CredentialRow, MemoryTools } from './memory-tables.ts';

export function newCredentialRow(tools: MemoryTools, key: ConnectionKey, incarnation: string): CredentialRow {
  const credential: Credential = {
    key: { ...key },
    incarnation,
    lock_key: lockKeyOf(key),
    generation: tools.memory.draw(),
    consent_seq: 0n,
    state: 'never_connected',
    token: null,
    binding: null,
    intent: null,
    ambiguous: false,
    failure: null,
    revocation: null,
    next_refresh_at: null,
    next_refresh_reason: null,
    settled_attempt_id: null,
    incident: null,
  };
  return {
    credential,
    intent_at: null,
    taken: null,
    refresh_sent_at: null,
    access_token: null,
    refresh_token: null,
    client_secret: null,
  };
}

/** As a reader sees the row. What a revoked row keeps for a successor that lifts the verdict (rule 13) is not shown. */
export function shown({ memory }: MemoryTools, { credential, intent_at }: CredentialRow): Credential {
  const { state, token, intent, revocation } = credential;
  return structuredClone({
    ...credential,
    token: state === 'connected' ? token : null,
    incident: memory.tables.incidents.get(idpHostOf(credential.binding) ?? '') ?? null,
    revocation: revocation && {
      ...revocation,
      ...(revocation.decided_by === 'idp' && token?.last_refreshed_at === null ? { first_refresh: true } : {}),
    },
    intent: intent && { ...intent, age_ms: memory.now() - (intent_at ?? 0) },
  });
}

/** The row once its attempt has ended without deciding about the one that it took the place of. */
export function givenBack(row: CredentialRow): CredentialRow {
  const over = row.taken?.intent.attempt_id === row.credential.intent?.attempt_id;
  const taken = over ? null : row.taken;
  const intent = taken && { ...taken.intent, given_back: true as const };
  return { ...row, intent_at: taken?.intent_at ?? null, credential: { ...row.credential, intent } };
}

export function opened({ box }: MemoryTools, row: CredentialRow, column: BoxedColumn): Secret | null | undefined {
  return openColumn(box, { ...row.credential.key, [column]: row[column] }, column);
}

export function secretsOf(tools: MemoryTools, row: CredentialRow): CredentialSecrets | null {
  const access_token = opened(tools, row, 'access_token');
  const refresh_token = opened(tools, row, 'refresh_token');
  const client_secret = opened(tools, row, 'client_secret');
  if (!access_token || refresh_token === undefined || client_secret === undefined) return null;
  return { access_token, refresh_token, client_secret };
}
