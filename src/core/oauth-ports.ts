import type { ErrorClass, TokenTypeHint } from './auth-event.ts';
import type { ConnectionConfig, ConnectionKey } from './connection.ts';
import type { ClientBinding } from './credential.ts';
import type { ProviderProfile } from './provider-facts.ts';
import type { Secret } from './redact.ts';
import type { RegisteredClient } from './store-ports.ts';
import type { TokenReply } from './token-response.ts';
import type { Instant } from './token-set.ts';

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
  /** The URL that an operator typed, by which the authorization server may be reached in a private network. */
  origin_of_trust: string;
  client_secret: Secret | null;
  /** The refresh token that was presented, so that a reply without a new one can keep it. */
  presented_refresh_token: Secret | null;
  /** Whether an earlier attempt's outcome was unknown when this one was claimed (rule 17). */
  ambiguous_before: boolean;
  before: { expires_at: Instant | null; refresh_expires_at: Instant | null; refresh_token_fingerprint: string | null };
  reason: string;
};

export interface Escrow {
  /** Resolves once the entry is durable: file synced, renamed, directory synced. */
  write(entry: EscrowEntry): Promise<void>;
  /** `unreadable`: files that are kept and may hold a token, but cannot be read now: this replica is not drained. */
  list(): Promise<{ entries: EscrowEntry[]; unreadable: number }>;
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
export type NotifyChannel = 'connections' | 'credentials' | 'catalog';

/** How this provider wants to be asked; left out: as its host is known. */
export type TokenRequestTaste = Pick<ProviderProfile, 'scope_on_refresh' | 'token_accept'>;

export type TokenRequestClient = {
  binding: ClientBinding;
  /** What it proves itself with: under `private_key_jwt` its private key as PEM, else its secret. */
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

/** What came of asking for the revocation of one token. */
export type RevocationReply =
  /** Confirmed; a token that the server does not know counts (RFC 7009 §2.2). */
  | { type: 'revoked' }
  /** The server has no endpoint for it, or says that it does not revoke such tokens (RFC 7009 §2.2.1). */
  | { type: 'unsupported'; idp_error_code: string | null; http_status: number | null }
  /** Worth trying again: perhaps not processed, or refused for what an operator may correct. */
  | {
      type: 'failed';
      error_class: ErrorClass;
      idp_error_code: string | null;
      http_status: number | null;
      retry_after: number | null;
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
    request: { redirect_uri: string; scope: string | null; trust: string; tls_ca_bundle_pem?: string },
  ): Promise<RegisteredClient>;
  /** Never rejects: a failure is a TokenReply. Listens for `listen_ms`, well past the caller's own deadline (rule 9). */
  exchangeCode(
    client: TokenRequestClient,
    request: {
      code: string;
      redirect_uri: string;
      code_verifier: Secret;
      listen_ms: number;
      origin_of_trust: string;
      profile?: TokenRequestTaste;
    },
  ): Promise<TokenReply>;
  /** RFC 6749 §4.4. Never rejects. */
  clientCredentials(
    client: TokenRequestClient,
    request: { listen_ms: number; origin_of_trust: string; profile?: TokenRequestTaste },
  ): Promise<TokenReply>;
  refresh(
    client: TokenRequestClient,
    request: { refresh_token: Secret; listen_ms: number; origin_of_trust: string; profile?: TokenRequestTaste },
  ): Promise<TokenReply>;
  /** RFC 7009. Never rejects. */
  revoke(
    client: TokenRequestClient,
    request: { token: Secret; token_type_hint: TokenTypeHint; origin_of_trust: string },
  ): Promise<RevocationReply>;
}
