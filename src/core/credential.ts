import type { Decider, ErrorClass, NewAuthEvent, RevocationReason } from './auth-event.ts';
import type { ConnectionConfig, ConnectionKey, OAuthGrant, TokenEndpointAuthMethod } from './connection.ts';
import type { Secret } from './redact.ts';
import type { Instant, TokenFacts, TokenSet } from './token-set.ts';

/** The three states of the card: facts on the row, not guesses from events. */
export const CREDENTIAL_STATES = ['never_connected', 'connected', 'revoked'] as const;
export type CredentialState = (typeof CREDENTIAL_STATES)[number];

/** Which client of which authorization server the tokens belong to. Fixed at the consent; refreshing never guesses. */
export type ClientBinding = {
  issuer: string | null;
  authorization_endpoint: string | null;
  token_endpoint: string;
  revocation_endpoint: string | null;
  client_id: string;
  token_endpoint_auth_method: TokenEndpointAuthMethod;
  /** How a client that signs names its key and the server (RFC 7523 §3); only beside `private_key_jwt`. */
  client_assertion?: { key_id: string | null; audience: string };
  /** RFC 8707, as sent at the consent and again at each refresh; null: not sent. */
  resource: string | null;
  /** Certificates that the server's own may be traced to, beside those that everybody trusts. */
  tls_ca_bundle_pem?: string;
  /** The scope asked for; some providers want it again at each refresh. */
  scope: string | null;
  client_source: 'config' | 'client_id_metadata_document' | 'dynamic_registration';
  /** Left out: authorization_code. */
  grant?: 'client_credentials';
};

/** The claim of one attempt on the refresh token: lease on the wire and evidence after a crash (protocol rules 6, 7). */
export type Intent = {
  attempt_id: string;
  replica_id: string;
  boot_id: bigint;
  refresh_token_fingerprint: string | null;
  /** Age by the database's clock when the row was read, in milliseconds. */
  age_ms: number;
  /** It was taken over, after the history had told of it, by an attempt that decided nothing about it. */
  given_back?: true;
};

/** Many connections fail at one authorization server: a fault of that server, until the contrary is shown. */
export type IssuerIncident = {
  opened_at: Instant;
  /** Not before then does the loop ask that server again, with one connection. */
  probe_at: Instant;
};

/** Consecutive refresh failures with the token kept. */
export type RefreshFailure = {
  type: 'transient' | 'misconfigured';
  since: Instant;
  last_at: Instant;
  count: number;
  /** The RFC 6749 code where the answer had one, else null. */
  idp_error_code: string | null;
  error_class: ErrorClass;
  /** The provider has said that the grant is dead, and the verdict is not believed yet (`weighVerdict`). */
  held_since?: Instant;
};

export type Revocation = {
  occurred_at: Instant;
  reason: RevocationReason;
  idp_host: string | null;
  decided_by: Decider;
  /** The generation that was given up; an escrowed successor of it may lift the verdict (rule 13). */
  from_generation: bigint;
  /** The provider refused the very first refresh of the grant. */
  first_refresh?: true;
};

export const REFRESH_REASONS = [
  'access_token_expiring',
  'refresh_token_expiring',
  'max_lifetime',
  'retry',
  'operator',
  'upstream_401',
  'tool_call',
  'canary',
  'issuer_check',
] as const;
export type RefreshReason = (typeof REFRESH_REASONS)[number];

/** One connection's credential as stored, without its secrets. */
export type Credential = {
  key: ConnectionKey;
  /** New at every create: a same-named successor is another connection (rule 1). */
  incarnation: string;
  lock_key: bigint;
  /** From one database sequence, never repeated; every change of token state draws a new one (rules 1, 2). */
  generation: bigint;
  consent_seq: bigint;
  state: CredentialState;
  token: TokenFacts | null;
  binding: ClientBinding | null;
  intent: Intent | null;
  /** Whether an attempt's outcome is unknown since the last structured answer (rules 8, 17). */
  ambiguous: boolean;
  failure: RefreshFailure | null;
  revocation: Revocation | null;
  next_refresh_at: Instant | null;
  next_refresh_reason: RefreshReason | null;
  /** The attempt that brought the present tokens: answers «was my commit applied?» (rule 11). */
  settled_attempt_id: string | null;
  /** The incident that is open at its authorization server. */
  incident: IssuerIncident | null;
};

export type CredentialSecrets = {
  access_token: Secret;
  refresh_token: Secret | null;
  client_secret: Secret | null;
};

/** What a write must still find on the row (rule 5 of design §4; protocol rules 1, 11, 13, 18, 19). */
export type Fence =
  | { by: 'generation'; incarnation: string; generation: bigint }
  /** Equal generation, or revoked from it by the provider or the platform: a received successor lifts the verdict. */
  | { by: 'lineage'; incarnation: string; parent_generation: bigint }
  /** A consent newer than any applied before. */
  | { by: 'consent'; incarnation: string; consent_seq: bigint };

export type Schedule = { at: Instant; reason: RefreshReason } | null;

/**
 * To end at the authorization server (RFC 7009) the tokens that the row holds when they are dropped: in the same
 * transaction they move from the row to the list of what is to be revoked.
 */
export type RevocationOrder = {
  id: string;
  actor: string;
  /** The configuration that the tokens were used under; null: no longer valid. */
  config: ConnectionConfig | null;
};

/** What becomes of the token. Each but `kept` draws a new generation and clears the intent. */
export type TokenChange =
  | {
      type: 'refreshed';
      token_set: TokenSet;
      attempt_id: string;
      /** When the request was sent; left out: when its answer came. */
      sent_at?: Instant;
      /** Carried over when the answer held no new one. */
      refresh_token: Secret | null;
      refresh_token_fingerprint: string | null;
      /** Left out: it moved, or nobody can tell. */
      refresh_deadline_fixed?: boolean;
      schedule: Schedule;
    }
  | {
      type: 'connected';
      token_set: TokenSet;
      attempt_id: string;
      consent_seq: bigint;
      binding: ClientBinding;
      client_secret: Secret | null;
      refresh_token_fingerprint: string | null;
      authenticated_by: string;
      schedule: Schedule;
    }
  | {
      type: 'kept';
      failure: RefreshFailure;
      attempt_id: string;
      /** Rule 8: only a structured answer, or proof that nothing was processed, closes an intent. */
      intent: 'close' | 'keep_open';
      schedule: Schedule;
    }
  | { type: 'revoked'; revocation: Omit<Revocation, 'from_generation' | 'first_refresh'> }
  /**
   * By a person. Every consent that was begun before ends with it (rule 3). What was never connected stays so, but no
   * consent begun before can land any more.
   */
  | {
      type: 'disconnected';
      revocation: Omit<Revocation, 'from_generation' | 'first_refresh'>;
      revoke?: RevocationOrder;
    };

export type Settlement = {
  key: ConnectionKey;
  fence: Fence;
  change: TokenChange;
  events: NewAuthEvent[];
};

export type SettleResult =
  /** `current` is the row as it was committed. */
  | { applied: true; generation: bigint; current: Credential }
  /** The fence did not match; `current` is the row as it is now, undefined when the connection is gone. */
  | { applied: false; current: Credential | undefined };

/**
 * By what name a registration at this server is remembered: its issuer, and the origin of its token endpoint where that is
 * another one, because there the client's secret is sent.
 */
export function issuerOf({ issuer, token_endpoint }: Pick<ClientBinding, 'issuer' | 'token_endpoint'>): string {
  const { origin } = new URL(token_endpoint);
  if (issuer === null) return origin;
  return URL.canParse(issuer) && new URL(issuer).origin === origin ? issuer : `${issuer} ${origin}`;
}

export function idpHostOf(binding: ClientBinding | null): string | null {
  return binding ? new URL(binding.token_endpoint).host : null;
}

/** Renewed with the client's own secret: there is no refresh token that could be spent or lost. */
export function isClientCredentials(binding: ClientBinding | null): boolean {
  return binding?.grant === 'client_credentials';
}

/** As configured; where no configuration is at hand, as the stored token was obtained. */
export function grantOf(
  config: Pick<ConnectionConfig, 'oauth2_grant'> | null,
  binding: ClientBinding | null = null,
): OAuthGrant {
  return (config ? config.oauth2_grant : binding?.grant) ?? 'authorization_code';
}
