import type { AccessRules } from './access-rule.ts';
import type { AuthEvent, AuthEventType, NewAuthEvent, TokenTypeHint } from './auth-event.ts';
import type { CallRecordStore } from './call-ports.ts';
import type { ConnectionConfig, ConnectionKey, TokenEndpointAuthMethod } from './connection.ts';
import type {
  ClientBinding,
  Credential,
  CredentialSecrets,
  RevocationOrder,
  Settlement,
  SettleResult,
} from './credential.ts';
import type { FieldIssue } from './errors.ts';
import type { IncidentStore } from './incident-port.ts';
import type { Secret } from './redact.ts';
import type { Instant } from './token-set.ts';
import type { ToolChangeStore } from './tool-change.ts';
import type { CatalogEntry, PublishedName } from './upstream-catalog.ts';

export type ConnectionSource = 'api' | 'file';

export type Connection = {
  key: ConnectionKey;
  incarnation: string;
  source: ConnectionSource;
  description: string;
  /** With its secrets: never serialise it but through `redactConfig`. */
  config: ConnectionConfig;
  /** Not empty when the stored row no longer passes validation or cannot be decrypted: listed, never used. */
  issues: readonly FieldIssue[];
  created_at: Instant;
  updated_at: Instant;
  updated_by: string;
  /** Grows with every change, from one sequence: what a replica has seen. */
  revision: bigint;
};

export type SaveConnection = {
  key: ConnectionKey;
  description: string;
  config: ConnectionConfig;
  source: ConnectionSource;
  actor: string;
  /** The revision that the caller read; null: must not exist yet. A mismatch is refused. */
  expected_revision: bigint | null;
  /** Written in the same transaction: drops tokens whose destination changed. */
  settlement?: Settlement;
  /** In the same transaction: consents begun before this save end with it, also one that is being exchanged. */
  drop_consents?: boolean;
};

export type SaveResult = { saved: true; connection: Connection } | { saved: false; reason: 'changed' | 'exists' };

/** The token as it was when it went: a refresh may have settled just before. */
export type DeleteResult =
  | { deleted: false }
  | { deleted: true; credential: Credential; secrets: CredentialSecrets | null };

export interface ConnectionStore {
  list(): Promise<Connection[]>;
  /** The same, each with its credential, in one statement however many there are. */
  listWithCredentials(): Promise<{ connection: Connection; credential: Credential }[]>;
  read(key: ConnectionKey): Promise<Connection | undefined>;
  save(input: SaveConnection): Promise<SaveResult>;
  /**
   * Reads the token, deletes it with its row, writes the events and lists the token for its revocation, in one
   * transaction; not when the incarnation is gone.
   */
  delete(
    key: ConnectionKey,
    incarnation: string,
    eventsFor: (credential: Credential) => NewAuthEvent[],
    revoke?: RevocationOrder,
  ): Promise<DeleteResult>;
}

/** What an attempt needs to know before it may present the token, read in one statement. */
export type AttemptView = {
  credential: Credential;
  secrets: CredentialSecrets | null;
  /** The replica that owns the open intent; null when there is no intent or its replica is unknown. */
  intent_owner: { last_seen_age_ms: number; drained_boot: bigint | null } | null;
};

export type ClaimInput = {
  key: ConnectionKey;
  incarnation: string;
  generation: bigint;
  /** The intent that was read; the claim fails when it is another by now. */
  expected_attempt_id: string | null;
  attempt_id: string;
  replica_id: string;
  boot_id: bigint;
  refresh_token_fingerprint: string | null;
};

export type DueQuery = {
  now: Instant;
  /** Intents younger than this, by the database's clock, are left alone. */
  lease_ms: number;
  /** Flights of this process: advisory locks are re-entrant, so they must not be asked for again. */
  exclude_lock_keys: bigint[];
  exclude_hosts: string[];
  limit: number;
  /** Only of this authorization server, at which an incident is open; else only of those without one. */
  probe_host?: string;
  /** Rows whose refusal has been held since then, or longer, are not left out for an incident. */
  held_before?: Instant;
  /** Both given: intents of other replicas that are alive (rule 15) are left to them. */
  replica_id?: string;
  owner_wait_ms?: number;
};

/** What the loop needs of a row that is due; its attempt reads it again (rule 5). */
export type DueCredential = Pick<Credential, 'key' | 'lock_key' | 'next_refresh_reason'> & {
  /** As in the events; null: not bound to any. */
  idp_host: string | null;
};

export interface CredentialStore {
  read(key: ConnectionKey): Promise<Credential | undefined>;
  /** The access token alone, for a tool call; undefined when there is none. */
  readAccessToken(key: ConnectionKey): Promise<{ credential: Credential; access_token: Secret | null } | undefined>;
  readForAttempt(key: ConnectionKey): Promise<AttemptView | undefined>;
  /** Due rows, soonest first, each with its advisory lock taken on this replica's lock session (none when embedded). */
  claimDue(query: DueQuery): Promise<DueCredential[]>;
  /** The earliest `next_refresh_at` of all, or the next probe of an incident, so that the loop can sleep until then. */
  nextDueAt(): Promise<Instant | null>;
  /** Protocol rule 6: the compare-and-set that is the mutex. */
  claimIntent(input: ClaimInput): Promise<boolean>;
  /** Rule 7: takes back an intent under which nothing was sent. */
  withdrawIntent(key: ConnectionKey, attempt_id: string): Promise<void>;
  /** The one door: token state and its events in one transaction, or neither. */
  settle(settlement: Settlement): Promise<SettleResult>;
  /** Postpones without a change of state (e.g. somebody else's attempt is on the wire). */
  postpone(key: ConnectionKey, incarnation: string, generation: bigint, until: Instant): Promise<void>;
}

/** Tokens that are dropped here and are to be ended at the authorization server, too (RFC 7009). */
export type PendingRevocation = {
  id: string;
  key: ConnectionKey;
  actor: string;
  binding: ClientBinding;
  origin_of_trust: string;
  client_secret: Secret | null;
  refresh_token: Secret | null;
  access_token: Secret | null;
  created_at: Instant;
  /** Attempts so far. */
  attempts: number;
};

/** Written with a key that we do not hold. */
export type UnreadableRevocation = Pick<PendingRevocation, 'id' | 'key' | 'actor' | 'binding' | 'created_at'> & {
  unreadable: true;
};

export interface RevocationStore {
  /** Due at once. A second one of the same id changes nothing. */
  enqueue(revocation: Omit<PendingRevocation, 'created_at' | 'attempts'>): Promise<void>;
  /**
   * Takes what is due, soonest first, and counts the attempt: until `lease_until` nobody else takes it, whatever becomes
   * of this process.
   */
  claimDue(query: {
    now: Instant;
    lease_until: Instant;
    limit: number;
    id?: string;
  }): Promise<(PendingRevocation | UnreadableRevocation)[]>;
  /** Nothing more is to be done about one of its tokens, or about `all`: they are erased, and the history says why. */
  finish(id: string, token: TokenTypeHint | 'all', key: ConnectionKey, events: NewAuthEvent[]): Promise<void>;
  postpone(id: string, until: Instant): Promise<void>;
  nextDueAt(): Promise<Instant | null>;
}

export type EventQuery = {
  key?: ConnectionKey;
  type?: AuthEventType[];
  /** Events before this one (its `sequence`), for «load more». */
  before?: string;
  limit: number;
};

export interface AuthEventStore {
  /** For happenings that change no token (connect_started, connect_failed). All others go through `settle`. */
  append(key: ConnectionKey, events: NewAuthEvent[]): Promise<void>;
  /** Newest first. */
  list(query: EventQuery): Promise<AuthEvent[]>;
  /** Deletes at most `limit` events older than `before`. */
  prune(before: Instant, limit: number): Promise<number>;
}

export type PendingConsent = {
  key: ConnectionKey;
  incarnation: string;
  redirect_uri: string;
  code_verifier: Secret;
  binding: ClientBinding;
  client_secret: Secret | null;
  /** The issuer that the answer must name (RFC 9207); null: unknown. */
  issuer: string | null;
  /** Whether the server promises `iss` in its authorization response: then its absence is an attack. */
  iss_required: boolean;
  authorization_url: string;
  actor: string;
  return_url: string;
  created_at: Instant;
  expires_at: Instant;
};

export interface ConsentStore {
  /** Keyed by the SHA-256 of the state, so that a reader of the table cannot finish a flow. */
  create(state: string, consent: PendingConsent): Promise<void>;
  /** Binds the flow to one browser: the first cookie wins; returns false when another one is bound already. */
  bind(state: string, browser_binding_hash: string): Promise<boolean>;
  peek(state: string): Promise<{ consent: PendingConsent; browser_binding_hash: string | null } | undefined>;
  /** Single use: marks the row and draws `consent_seq` in the same transaction (rule 3). */
  consume(state: string): Promise<{ consent: PendingConsent; consent_seq: bigint } | undefined>;
  /** The exchange of a consumed consent has ended, whatever its outcome. */
  finish(state: string): Promise<void>;
  /** Draws a number without a state row: for Disconnect. */
  drawConsentSeq(): Promise<bigint>;
  /** Whether a consent may still land: one that is begun, or one that is being exchanged and that nothing outranks. */
  pending(key: ConnectionKey, now: Instant): Promise<boolean>;
  prune(now: Instant): Promise<number>;
}

/** A client that we registered ourselves, remembered per connection, issuer and redirect URI. */
export type RegisteredClient = {
  issuer: string;
  redirect_uri: string;
  client_id: string;
  client_secret: Secret | null;
  token_endpoint_auth_method: TokenEndpointAuthMethod;
  client_secret_expires_at: Instant | null;
};

export interface RegistrationStore {
  read(key: ConnectionKey, issuer: string, redirect_uri: string): Promise<RegisteredClient | undefined>;
  save(key: ConnectionKey, client: RegisteredClient): Promise<void>;
  /** `client_id`: only if it is still this client that is remembered. */
  forget(key: ConnectionKey, issuer: string, client_id?: string): Promise<void>;
}

export interface ReplicaStore {
  /** Registers this start; boot ids come from one sequence, so a later boot is a greater number (rule 4). */
  boot(replica_id: string): Promise<bigint>;
  /** False when a later boot has taken the identity: another process runs with a copy of the data directory. */
  seen(replica_id: string, boot_id?: bigint): Promise<boolean>;
  /** Rule 13: every escrow file of earlier boots has been replayed. */
  drained(replica_id: string, boot_id: bigint): Promise<void>;
}

export interface CatalogStore {
  list(): Promise<CatalogEntry[]>;
  read(key: ConnectionKey): Promise<CatalogEntry | undefined>;
  save(entry: CatalogEntry): Promise<void>;
  /** The stored name map: published name → source, stable once given. */
  names(): Promise<PublishedName[]>;
  /** Where another replica has given one of these names, or a name to one of these sources, before, its row stays. */
  saveNames(names: PublishedName[]): Promise<void>;
}

export type ApiKeyRecord = { name: string; role: 'admin' | 'agent'; key_hash: string; access: AccessRules };

export interface AccessStore {
  /** Sign-in links: single use, short-lived, stored hashed. */
  createSignInLink(token_hash: string, actor: string, expires_at: Instant): Promise<void>;
  consumeSignInLink(token_hash: string, now: Instant): Promise<string | undefined>;
  createSession(session_hash: string, actor: string, expires_at: Instant): Promise<void>;
  readSession(session_hash: string, now: Instant): Promise<{ actor: string; expires_at: Instant } | undefined>;
  deleteSession(session_hash: string): Promise<void>;
  pruneExpired(now: Instant): Promise<number>;
}

export type Stores = {
  connections: ConnectionStore;
  credentials: CredentialStore;
  events: AuthEventStore;
  consents: ConsentStore;
  registrations: RegistrationStore;
  revocations: RevocationStore;
  incidents: IncidentStore;
  replicas: ReplicaStore;
  catalog: CatalogStore;
  access: AccessStore;
  calls: CallRecordStore;
  toolChanges: ToolChangeStore;
};
