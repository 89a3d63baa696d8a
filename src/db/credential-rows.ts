import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type {
  Credential,
  CredentialSecrets,
  Intent,
  IssuerIncident,
  RefreshFailure,
  Revocation,
} from '../core/credential.ts';
import type { Secret } from '../core/redact.ts';
import type { TokenFacts } from '../core/token-set.ts';
import { toInstant } from './column-values.ts';
import type { CredentialTable, Database } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

export type CredentialRow = Selectable<CredentialTable> & {
  intent_age_ms: number | null;
  incident_opened_at: Date | null;
  incident_probe_at: Date | null;
};

/** Protocol rule 7: a lease is measured by one clock, the database's, whichever replica asks. */
const intentAge = sql<number | null>`
  cast(extract(epoch from clock_timestamp() - connection_credentials.intent_at) * 1000 as float8)`.as('intent_age_ms');

/** Subselects and no join: the row is also read to be locked. */
const ofIncident = (column: 'opened_at' | 'probe_at') => sql<Date | null>`
  (select ${sql.ref(column)} from issuer_incidents where idp_host = connection_credentials.token_host)`;

/** What a credential is read with beside its own columns. */
export const COMPUTED = [
  intentAge,
  ofIncident('opened_at').as('incident_opened_at'),
  ofIncident('probe_at').as('incident_probe_at'),
] as const;

/** What tells rows apart, in a map. */
export const rowKey = ({ kind, name }: ConnectionKey): string => `${kind}/${name}`;

export function selectCredentials(db: Kysely<Database>) {
  return db.selectFrom('connection_credentials').selectAll('connection_credentials').select(COMPUTED);
}

function tokenOf(row: CredentialRow): TokenFacts | null {
  if (row.state !== 'connected' || row.received_at === null) return null;
  return {
    token_type: row.token_type ?? 'Bearer',
    scope: row.scope,
    expires_at: toInstant(row.expires_at),
    refresh_expires_at: toInstant(row.refresh_expires_at),
    refresh_deadline_fixed: row.refresh_deadline_fixed,
    has_refresh_token: row.refresh_token !== null,
    refresh_token_fingerprint: row.refresh_token_fingerprint,
    received_at: toInstant(row.received_at),
    refresh_used_at: toInstant(row.refresh_used_at ?? row.received_at),
    last_refreshed_at: toInstant(row.last_refreshed_at),
    authenticated_by: row.authenticated_by,
    authenticated_at: toInstant(row.authenticated_at),
  };
}

function intentOf(row: CredentialRow): Intent | null {
  if (row.intent_attempt_id === null || row.intent_replica_id === null || row.intent_boot_id === null) return null;
  return {
    attempt_id: row.intent_attempt_id,
    replica_id: row.intent_replica_id,
    boot_id: BigInt(row.intent_boot_id),
    refresh_token_fingerprint: row.intent_fingerprint,
    age_ms: row.intent_age_ms ?? 0,
    ...(row.taken_intent?.attempt_id === row.intent_attempt_id ? { given_back: true } : {}),
  };
}

function failureOf(row: CredentialRow): RefreshFailure | null {
  if (row.failure_type === null || row.failure_since === null || row.failure_last_at === null) return null;
  return {
    type: row.failure_type,
    since: toInstant(row.failure_since),
    last_at: toInstant(row.failure_last_at),
    count: row.failure_count ?? 1,
    idp_error_code: row.failure_error_code,
    error_class: row.failure_error_class ?? 'structured',
    ...(row.held_since === null ? {} : { held_since: toInstant(row.held_since) }),
  };
}

function revocationOf(row: CredentialRow): Revocation | null {
  if (row.revocation_occurred_at === null || row.revoked_from_generation === null) return null;
  return {
    occurred_at: toInstant(row.revocation_occurred_at),
    reason: row.revocation_reason ?? 'invalid_grant',
    idp_host: row.revocation_idp_host,
    decided_by: row.revocation_decided_by ?? 'idp',
    from_generation: BigInt(row.revoked_from_generation),
    ...(row.revocation_decided_by === 'idp' && row.last_refreshed_at === null ? { first_refresh: true } : {}),
  };
}

function incidentOf(row: CredentialRow): IssuerIncident | null {
  if (row.incident_opened_at === null || row.incident_probe_at === null) return null;
  return { opened_at: toInstant(row.incident_opened_at), probe_at: toInstant(row.incident_probe_at) };
}

/** `BigInt()` again on each int8: the lock session of `pg` need not have our parsers. */
export function toCredential(row: CredentialRow): Credential {
  return {
    key: { kind: row.kind, name: row.name },
    incarnation: row.incarnation,
    lock_key: BigInt(row.lock_key),
    generation: BigInt(row.generation),
    consent_seq: BigInt(row.consent_seq),
    state: row.state,
    token: tokenOf(row),
    binding: row.binding,
    intent: intentOf(row),
    ambiguous: row.ambiguous,
    failure: failureOf(row),
    revocation: revocationOf(row),
    next_refresh_at: toInstant(row.next_refresh_at),
    next_refresh_reason: row.next_refresh_reason,
    settled_attempt_id: row.settled_attempt_id,
    incident: incidentOf(row),
  };
}

export type BoxedColumn = 'access_token' | 'refresh_token' | 'client_secret';

/** `undefined`: there is a value, and it does not open. */
export function openColumn(
  box: SecretBox,
  row: ConnectionKey & { [column in BoxedColumn]?: Uint8Array | null },
  column: BoxedColumn,
): Secret | null | undefined {
  const sealed = row[column];
  if (sealed === null || sealed === undefined) return null;
  const opened = box.open(sealed, { kind: row.kind, name: row.name, column });
  return opened.opened ? opened.secret : undefined;
}

/** null when there is no token, or when any part of it does not open: half a credential is of no use. */
export function openSecrets(box: SecretBox, row: CredentialRow): CredentialSecrets | null {
  const access_token = openColumn(box, row, 'access_token');
  const refresh_token = openColumn(box, row, 'refresh_token');
  const client_secret = openColumn(box, row, 'client_secret');
  if (!access_token || refresh_token === undefined || client_secret === undefined) return null;
  return { access_token, refresh_token, client_secret };
}
