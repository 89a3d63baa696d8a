import type { AuthEvent } from '../core/auth-event.ts';
import type { AbortLike } from '../core/cancellation.ts';
import type { ConnectionKey } from '../core/connection.ts';
import type { OAuthStatus } from '../core/connection-status.ts';
import type { RefreshFailure, RefreshReason, Revocation } from '../core/credential.ts';
import type { DISCONNECT_OUTCOMES } from '../core/dropped-token.ts';
import type { ErrorCode, FieldIssue } from '../core/errors.ts';
import type { ConnectionSource, EventQuery, ToolkitTest } from '../core/ports.ts';
import type { Secret } from '../core/redact.ts';
import type { Instant } from '../core/token-set.ts';
import type { MemberState } from './catalog-member.ts';

/** One connection as a person may see it: secrets redacted, instants RFC 3339. */
export type ConnectionView = {
  kind: string;
  name: string;
  description: string;
  source: ConnectionSource;
  config: Record<string, unknown>;
  issues: readonly FieldIssue[];
  created_at: string;
  updated_at: string;
  updated_by: string;
  /** null unless auth_mode is oauth. */
  oauth: OAuthStatus | null;
  /** null: this server does not open it, because its configuration is not valid or its kind is not known here. */
  gateway: GatewayStatus | null;
};

/** How the upstream of a connection is, as the replica that is asked has found it since it started. */
export type GatewayStatus = {
  state: MemberState;
  tools: number;
  prompts: number;
  resources: number;
  listed_at: string | null;
  last_success_at: string | null;
  last_error: { code: ErrorCode; message: string; at: string } | null;
};

export interface ConnectionsFlow {
  list(): Promise<ConnectionView[]>;
  /** @throws AppError not_found */
  get(key: ConnectionKey): Promise<ConnectionView>;
  /** @throws AppError invalid_config (with issues), secret_required, managed_by_file, conflict */
  put(
    key: ConnectionKey,
    /** `description` left out: unchanged. */
    input: { config: Record<string, unknown>; description?: string },
    actor: string,
  ): Promise<{ created: boolean; connection: ConnectionView }>;
  /** @throws AppError not_found, managed_by_file */
  delete(key: ConnectionKey, actor: string): Promise<void>;
  test(key: ConnectionKey, signal: AbortSignal): Promise<ToolkitTest>;
  history(query: EventQuery): Promise<AuthEvent[]>;
}

export type DisconnectResult = {
  /**
   * What became of the token at the authorization server. `pending`: not confirmed yet, tried again in the background.
   * `unsupported`: it offers no revocation. `unreadable`: the stored token could not be decrypted, so not be sent.
   * `failed`: it refuses to revoke such tokens. `nothing`: there was no token.
   */
  upstream: (typeof DISCONNECT_OUTCOMES)[number];
  idp_host: string | null;
};

export interface DisconnectFlow {
  /** @throws AppError not_found, invalid_request (auth_mode is not oauth), conflict */
  disconnect(key: ConnectionKey, actor: string): Promise<DisconnectResult>;
}

export type ConsentStarted = {
  /** The identity provider's page. */
  authorization_url: string;
  state: string;
  redirect_uri: string;
  expires_at: string;
};

export type CallbackResult =
  | { ok: true; key: ConnectionKey; return_url: string }
  /** `title` and `message` are for the page; `code` is ours or the provider's (RFC 6749 §4.1.2.1), made safe. */
  | { ok: false; key: ConnectionKey | null; code: string; title: string; message: string; return_url: string | null };

export interface AuthorizeFlow {
  /**
   * Discovers, registers when needed, and stores a single-use state for ten minutes.
   * @throws AppError not_found, invalid_request (auth_mode is not oauth), discovery_failed, registration_failed
   */
  start(key: ConnectionKey, input: { return_url?: string; actor: string }): Promise<ConsentStarted>;
  /** Ties a state to one browser; undefined when the state is unknown, expired, or another browser's. */
  bind(state: string, browserBinding: string): Promise<{ authorization_url: string } | undefined>;
  /** The provider sent the browser back. `browserBinding` is the cookie's value. Never throws on bad input. */
  callback(params: URLSearchParams, browserBinding: string | null): Promise<CallbackResult>;
}

export interface ClientCredentialsFlow {
  /**
   * Obtains the first token of a connection with `oauth2_grant` client_credentials; nobody signs in.
   * @throws AppError not_found, invalid_config, invalid_request (another grant), discovery_failed, conflict, unavailable
   */
  acquire(key: ConnectionKey, actor: string): Promise<void>;
}

export type RefreshResult =
  | { type: 'refreshed' }
  /** Somebody else's attempt brought a newer token, or nothing was due. */
  | { type: 'current' }
  | { type: 'failed'; failure: RefreshFailure }
  | { type: 'revoked'; revocation: Revocation }
  /** An attempt is under way or its outcome is unknown; not before `until`. */
  | { type: 'waiting'; until: Instant; why: string }
  | { type: 'no_refresh_token' }
  | { type: 'not_connected' }
  | { type: 'gone' };

export type RefreshRequest = {
  key: ConnectionKey;
  reason: RefreshReason | 'due';
  actor: string;
  /** Only if the row still holds this generation: a newer one is answer enough. */
  generation?: bigint;
  /** The caller stops waiting; the attempt goes on. */
  signal?: AbortLike;
};

export interface RefreshFlow {
  /** The one door. Single flight per connection; never aborted by its callers. */
  refresh(request: RefreshRequest): Promise<RefreshResult>;
  /** Attempts under way, for the graceful stop. */
  readonly inFlight: number;
}

export type AccessTokenFor = (
  key: ConnectionKey,
  options?: { rejected?: Secret; signal?: AbortLike },
) => Promise<Secret>;
