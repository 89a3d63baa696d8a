import type { ColumnType, Generated } from 'kysely';
import type { AuthEventDetail, AuthEventType, Decider, ErrorClass, RevocationReason } from '../core/auth-event.ts';
import type { CallEra, CallOutcome } from '../core/call-record.ts';
import type { TokenEndpointAuthMethod } from '../core/connection.ts';
import type { ClientBinding, CredentialState, RefreshFailure, RefreshReason } from '../core/credential.ts';
import type {
  ConnectionSource,
  PublishedName,
  UpstreamAbout,
  UpstreamPrompt,
  UpstreamResource,
  UpstreamTemplate,
  UpstreamTool,
} from '../core/ports.ts';
import type { ToolChangeKind, ToolPart } from '../core/tool-change.ts';

/** jsonb: read parsed, written through `json()` so that both engines see the same text. */
type Json<T> = ColumnType<T, string, string>;
type NullableJson<T> = ColumnType<T | null, string | null, string | null>;
/** bytea: `pg` reads a Buffer, the embedded engine a Uint8Array; only the latter is relied upon. */
type Bytes = Uint8Array;

export type ConnectionTable = {
  kind: string;
  name: string;
  incarnation: string;
  source: ConnectionSource;
  description: string;
  /** Each secret reads `[REDACTED]` here and lies in `config_secrets`. */
  config: Json<Record<string, unknown>>;
  config_secrets: Bytes | null;
  revision: Generated<bigint>;
  created_at: Date;
  updated_at: Date;
  updated_by: string;
};

export type CredentialTable = {
  kind: string;
  name: string;
  incarnation: string;
  lock_key: bigint;
  generation: Generated<bigint>;
  consent_seq: Generated<bigint>;
  state: Generated<CredentialState>;
  access_token: Bytes | null;
  refresh_token: Bytes | null;
  client_secret: Bytes | null;
  token_type: string | null;
  scope: string | null;
  expires_at: Date | null;
  refresh_expires_at: Date | null;
  refresh_deadline_fixed: Generated<boolean>;
  refresh_token_fingerprint: string | null;
  received_at: Date | null;
  refresh_used_at: Date | null;
  last_refreshed_at: Date | null;
  authenticated_by: string | null;
  authenticated_at: Date | null;
  binding: NullableJson<ClientBinding>;
  token_host: string | null;
  intent_attempt_id: string | null;
  intent_replica_id: string | null;
  intent_boot_id: bigint | null;
  intent_fingerprint: string | null;
  /** Written and compared by the database's clock alone (protocol rule 7). */
  intent_at: Date | null;
  /** What the open intent took the place of; beside an intent of the same attempt: that one was given back. */
  taken_intent: NullableJson<TakenIntent>;
  ambiguous: Generated<boolean>;
  failure_type: RefreshFailure['type'] | null;
  failure_since: Date | null;
  failure_last_at: Date | null;
  failure_count: number | null;
  failure_error_code: string | null;
  failure_error_class: ErrorClass | null;
  held_since: Date | null;
  /** When the last refresh that succeeded was sent: an answer may be minutes older than its arrival. */
  refresh_sent_at: Date | null;
  revocation_occurred_at: Date | null;
  revocation_reason: RevocationReason | null;
  revocation_idp_host: string | null;
  revocation_decided_by: Decider | null;
  revoked_from_generation: bigint | null;
  next_refresh_at: Date | null;
  next_refresh_reason: RefreshReason | null;
  settled_attempt_id: string | null;
};

/** As the database wrote it, its time included. */
export type TakenIntent = {
  attempt_id: string;
  replica_id: string;
  boot_id: number;
  fingerprint: string | null;
  at: string;
};

export type AuthEventTable = {
  sequence: Generated<bigint>;
  id: string;
  occurred_at: Date;
  connection_kind: string;
  connection_name: string;
  event_type: AuthEventType;
  actor: string;
  idp_host: string | null;
  detail: Json<AuthEventDetail>;
};

export type OauthStateTable = {
  state_hash: string;
  kind: string;
  name: string;
  incarnation: string;
  redirect_uri: string;
  code_verifier: Bytes;
  binding: Json<ClientBinding>;
  client_secret: Bytes | null;
  issuer: string | null;
  iss_required: boolean;
  /** Boxed, because it holds the state that this table is not to reveal. */
  authorization_url: Bytes;
  actor: string;
  return_url: string;
  browser_binding_hash: string | null;
  created_at: Date;
  expires_at: Date;
  /** The code is being exchanged since then, under `consent_seq`. */
  consumed_at: Date | null;
  consent_seq: bigint | null;
};

export type OauthClientTable = {
  kind: string;
  name: string;
  issuer: string;
  redirect_uri: string;
  client_id: string;
  client_secret: Bytes | null;
  token_endpoint_auth_method: TokenEndpointAuthMethod;
  client_secret_expires_at: Date | null;
};

export type TokenRevocationTable = {
  id: string;
  kind: string;
  name: string;
  actor: string;
  binding: Json<ClientBinding>;
  origin_of_trust: string;
  refresh_token: Bytes | null;
  access_token: Bytes | null;
  client_secret: Bytes | null;
  attempts: Generated<number>;
  created_at: Date;
  next_at: Date;
};

export type ReplicaTable = {
  replica_id: string;
  boot_id: bigint;
  /** By the database's clock, like the intent that it is compared with. */
  last_seen: ColumnType<Date, never, never>;
  drained_boot: bigint | null;
};

export type IssuerIncidentTable = { idp_host: string; opened_at: Date; probe_at: Date };

export type ToolCatalogTable = {
  kind: string;
  name: string;
  incarnation: string;
  tools: Json<UpstreamTool[]>;
  prompts: Json<UpstreamPrompt[]>;
  resources: Json<UpstreamResource[]>;
  resource_templates: Json<UpstreamTemplate[]>;
  about: NullableJson<UpstreamAbout>;
  listed_at: Date;
};

export type ToolNameTable = PublishedName;

export type SignInLinkTable = { token_hash: string; actor: string; expires_at: Date };
export type SessionTable = { session_hash: string; actor: string; expires_at: Date };

export type CallRecordTable = {
  id: string;
  occurred_at: Date;
  connection_kind: string;
  connection_name: string;
  actor: string;
  method: string;
  tool: string | null;
  operation: string | null;
  outcome: CallOutcome;
  duration_ms: number;
  request_bytes: bigint | null;
  response_bytes: bigint | null;
  era: CallEra;
  arguments: NullableJson<unknown>;
  replica_id: string;
};

export type CallLossTable = { id: string; since: Date; until: Date; calls: bigint; replica_id: string };

export type ToolChangeTable = {
  id: string;
  occurred_at: Date;
  day: Date;
  connection_kind: string;
  connection_name: string;
  tool: string;
  change: ToolChangeKind;
  parts: Json<ToolPart[]>;
  before_digest: string;
  after_digest: string;
};

export type EncryptionKeyTable = { key_id: string; check_value: Bytes; created_at: Date };

export type Database = {
  connections: ConnectionTable;
  connection_credentials: CredentialTable;
  connection_auth_events: AuthEventTable;
  oauth_states: OauthStateTable;
  oauth_clients: OauthClientTable;
  token_revocations: TokenRevocationTable;
  issuer_incidents: IssuerIncidentTable;
  replicas: ReplicaTable;
  tool_catalog: ToolCatalogTable;
  tool_names: ToolNameTable;
  sign_in_links: SignInLinkTable;
  sessions: SessionTable;
  encryption_keys: EncryptionKeyTable;
  call_records: CallRecordTable;
  call_record_losses: CallLossTable;
  tool_changes: ToolChangeTable;
};

export type Sequence = 'credential_generation_seq' | 'consent_seq' | 'boot_seq' | 'connection_revision_seq';
