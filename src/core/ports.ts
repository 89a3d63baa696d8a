import type { AuthEvent, AuthEventType, NewAuthEvent } from './auth-event.ts';
import type { ConfigSchema, ConnectionConfig, ConnectionKey, TokenEndpointAuthMethod } from './connection.ts';
import type { ClientBinding, Credential, CredentialSecrets, Settlement, SettleResult } from './credential.ts';
import type { FieldIssue } from './errors.ts';
import type { Secret } from './redact.ts';
import type { TokenReply } from './token-response.ts';
import type { Instant } from './token-set.ts';

/** The only teller of time. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): Instant;
  /** Milliseconds that never step back; only differences mean something. */
  monotonic(): number;
  /** Resolves after `ms`, at once when the signal aborts (without an error). Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Aborts after `ms` with a TimeoutError. */
  timeout(ms: number): AbortSignal;
}

/** The only source of chance. */
export interface Random {
  bytes(length: number): Uint8Array;
  uuid(): string;
  /** Uniform in [0, 1): for jitter, never for secrets. */
  fraction(): number;
}

export type LogFields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

export type FetchInit = {
  method?: string;
  headers?: Record<string, string> | Headers;
  body?: string | Uint8Array | ReadableStream<Uint8Array>;
  signal?: AbortSignal;
  /** Never followed by default: a redirect would carry the secret elsewhere. */
  redirect?: 'manual' | 'error';
  /**
   * `fresh`: on a connection of its own. A pooled one may have been closed by the other side at the very moment of
   * sending, and then nobody can tell whether the request arrived: not worth it where a single-use token is sent.
   */
  connection?: 'pooled' | 'fresh';
  /**
   * `typed`: an operator typed this URL, so private and loopback destinations are legitimate. `discovered`: it came
   * from a remote document, so it may lead into a private network only where `origin_of_trust` does.
   */
  trust: { url: 'typed' } | { url: 'discovered'; origin_of_trust: string };
};

/**
 * The only way out to the network.
 * @throws EgressError when nothing was sent or the connection broke; see its `phase`.
 */
export type Fetch = (url: string | URL, init: FetchInit) => Promise<Response>;

/** Where a request broke: before any byte left, or after some may have. Only the first proves that nothing happened. */
export class EgressError extends Error {
  override readonly name = 'EgressError';
  readonly phase: 'not_sent' | 'perhaps_sent';
  readonly reason: 'dns' | 'connect' | 'tls' | 'egress_refused' | 'timeout' | 'reset' | 'aborted';

  constructor(phase: EgressError['phase'], reason: EgressError['reason'], message: string) {
    super(message);
    this.phase = phase;
    this.reason = reason;
  }
}

/** Turns a refresh token into a short keyed mark: equal for equal tokens, useless to anybody without the key. */
export type Fingerprint = (token: Secret) => string;

// ---------------------------------------------------------------------------------------------------- connections

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
};

export type SaveResult = { saved: true; connection: Connection } | { saved: false; reason: 'changed' | 'exists' };

export interface ConnectionStore {
  list(): Promise<Connection[]>;
  read(key: ConnectionKey): Promise<Connection | undefined>;
  save(input: SaveConnection): Promise<SaveResult>;
  /** Deletes the row and its token, and writes `events`, in one transaction. False when the incarnation is gone. */
  delete(key: ConnectionKey, incarnation: string, events: NewAuthEvent[]): Promise<boolean>;
}

// ---------------------------------------------------------------------------------------------------- credentials

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
};

export interface CredentialStore {
  read(key: ConnectionKey): Promise<Credential | undefined>;
  list(): Promise<Credential[]>;
  /** The access token alone, for a tool call; undefined when there is none. */
  readAccessToken(key: ConnectionKey): Promise<{ credential: Credential; access_token: Secret | null } | undefined>;
  readForAttempt(key: ConnectionKey): Promise<AttemptView | undefined>;
  /** Due rows, soonest first, each with its advisory lock taken on this replica's lock session (none when embedded). */
  claimDue(query: DueQuery): Promise<Credential[]>;
  /** The earliest `next_refresh_at` of all, so that the loop can sleep until then. */
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

// ---------------------------------------------------------------------------------------------------- history

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

// ---------------------------------------------------------------------------------------------------- consent

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
  /** Single use: deletes the row and draws `consent_seq` in the same transaction (rule 3). */
  consume(state: string): Promise<{ consent: PendingConsent; consent_seq: bigint } | undefined>;
  /** Draws a number without a state row: for Disconnect. */
  drawConsentSeq(): Promise<bigint>;
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
  forget(key: ConnectionKey, issuer: string): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------- replicas

export interface ReplicaStore {
  /** Registers this start; boot ids come from one sequence, so a later boot is a greater number (rule 4). */
  boot(replica_id: string): Promise<bigint>;
  seen(replica_id: string): Promise<void>;
  /** Rule 13: every escrow file of earlier boots has been replayed. */
  drained(replica_id: string, boot_id: bigint): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------- escrow and lock

/** A reply of the token endpoint, put on disk before anything looks at it (rule 10). */
export type EscrowEntry = {
  attempt_id: string;
  purpose: 'refresh' | 'connect';
  key: ConnectionKey;
  incarnation: string;
  /** The generation whose refresh token was presented; for a connect the one at the callback. */
  parent_generation: bigint;
  consent_seq: bigint | null;
  replica_id: string;
  boot_id: bigint;
  reply: TokenReply;
  sent_at: Instant;
  received_at: Instant;
  actor: string;
  binding: ClientBinding;
  client_secret: Secret | null;
  /** The refresh token that was presented, so that a reply without a new one can keep it. */
  presented_refresh_token: Secret | null;
  before: { expires_at: Instant | null; refresh_expires_at: Instant | null; refresh_token_fingerprint: string | null };
  reason: string;
};

export interface Escrow {
  /** Resolves once the entry is durable: file synced, renamed, directory synced. */
  write(entry: EscrowEntry): Promise<void>;
  list(): Promise<EscrowEntry[]>;
  clear(attempt_id: string): Promise<void>;
}

/** Saves work between replicas; the intent is what excludes (rule 6). Embedded: always granted. */
export interface Locker {
  tryLock(lock_key: bigint): Promise<boolean>;
  unlock(lock_key: bigint): Promise<void>;
}

/** Tells other replicas, and this process, that something changed. Payloads are hints, never facts. */
export interface Notifier {
  publish(channel: NotifyChannel, payload: string): Promise<void>;
  subscribe(channel: NotifyChannel, listener: (payload: string) => void): () => void;
}
export type NotifyChannel = 'connections' | 'credentials';

// ---------------------------------------------------------------------------------------------------- OAuth

export type TokenRequestClient = {
  binding: ClientBinding;
  client_secret: Secret | null;
};

/** What discovery found out about the authorization server of a connection. */
export type ServerMetadata = {
  issuer: string | null;
  authorization_endpoint: string;
  token_endpoint: string;
  revocation_endpoint: string | null;
  registration_endpoint: string | null;
  token_endpoint_auth_methods_supported: string[] | null;
  scopes_supported: string[] | null;
  code_challenge_methods_supported: string[] | null;
  authorization_response_iss_parameter_supported: boolean;
  client_id_metadata_document_supported: boolean;
  /** From the protected resource metadata (RFC 9728), when there is one. */
  resource: string | null;
  resource_scopes_supported: string[] | null;
  challenge_scope: string | null;
  /** How each fact was found, for the connect page: `configured`, or the URL that told it. */
  source: string;
};

/** We as a client of authorization servers. Each method sends; judging is `core/token-response`. */
export interface AuthorizationServer {
  /** PKCE S256 (RFC 7636 §4.2). */
  codeChallenge(verifier: string): Promise<string>;
  /** @throws AppError `discovery_failed` naming the step and what to configure by hand. */
  discover(config: ConnectionConfig): Promise<ServerMetadata>;
  /** RFC 7591. @throws AppError `registration_failed` */
  register(
    metadata: ServerMetadata,
    request: { redirect_uri: string; scope: string | null; trust: string },
  ): Promise<RegisteredClient>;
  /** Never rejects: a failure is a TokenReply. Listens for `listen_ms`, well past the caller's own deadline (rule 9). */
  exchangeCode(
    client: TokenRequestClient,
    request: { code: string; redirect_uri: string; code_verifier: Secret; listen_ms: number; origin_of_trust: string },
  ): Promise<TokenReply>;
  refresh(
    client: TokenRequestClient,
    request: { refresh_token: Secret; listen_ms: number; origin_of_trust: string },
  ): Promise<TokenReply>;
  /** RFC 7009. True when the server confirmed. */
  revoke(
    client: TokenRequestClient,
    request: { token: Secret; token_type_hint: 'refresh_token' | 'access_token'; origin_of_trust: string },
  ): Promise<boolean>;
}

// ---------------------------------------------------------------------------------------------------- toolkits

/** Handed to a toolkit at connect: all that it ever sees. Never a refresh token. */
export type ToolkitContext = {
  key: ConnectionKey;
  config: ConnectionConfig;
  /**
   * A valid access token of an `oauth` connection. `rejected` names the token that the upstream refused with a 401:
   * the platform re-reads, else refreshes once.
   * @throws AppError `needs_person` when only a person can help, `unavailable` when it is worth trying again.
   */
  accessToken(options?: { rejected?: Secret; signal?: AbortSignal }): Promise<Secret>;
  fetch: Fetch;
  log: Log;
  clock: Clock;
  random: Random;
  authEvents: { append(events: NewAuthEvent[]): Promise<void> };
};

export type ToolkitCall = {
  signal: AbortSignal;
  principal: { actor: string };
  /** Progress of a long call, to be re-emitted under the caller's own token. */
  onprogress?: (progress: { progress: number; total?: number; message?: string }) => void;
};

/** An upstream's tool, verbatim: schemas, annotations, `_meta` and fields that we do not know are kept. */
export type UpstreamTool = { name: string } & Record<string, unknown>;

export type ToolkitTest = { ok: boolean; message: string; details: Record<string, unknown> };

export interface ToolkitConnection {
  /** `tools/list` → `{ tools }` with all pages read; `tools/call` → the upstream's result, verbatim. */
  request(method: string, params: Record<string, unknown>, call: ToolkitCall): Promise<Record<string, unknown>>;
  /** Called whenever what the upstream offers may have changed. */
  onChange(listener: () => void): void;
  test(signal: AbortSignal): Promise<ToolkitTest>;
  close(): Promise<void>;
}

export interface Toolkit {
  kind: string;
  configSchema: ConfigSchema;
  /** Must not dial: the first request does, so that start-up never waits for an upstream. */
  connect(context: ToolkitContext): ToolkitConnection;
}

// ---------------------------------------------------------------------------------------------------- catalog

export type CatalogEntry = {
  key: ConnectionKey;
  incarnation: string;
  tools: UpstreamTool[];
  listed_at: Instant;
};

export interface CatalogStore {
  list(): Promise<CatalogEntry[]>;
  save(entry: CatalogEntry): Promise<void>;
  /** The stored name map: published name → source, stable once given. */
  names(): Promise<PublishedName[]>;
  saveNames(names: PublishedName[]): Promise<void>;
}

export type PublishedName = { published_name: string; kind: string; name: string; tool: string };

// ---------------------------------------------------------------------------------------------------- who may enter

export type ApiKeyRecord = { name: string; role: 'admin' | 'agent'; key_hash: string };

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
  replicas: ReplicaStore;
  catalog: CatalogStore;
  access: AccessStore;
};
