import { type Decider, REFUSES_CLIENT, type RevocationReason } from './auth-event.ts';
import type { ConnectionConfig, OAuthGrant } from './connection.ts';
import { auditConnection, type Finding } from './connection-audit.ts';
import type { Credential, CredentialState } from './credential.ts';
import { grantOf, idpHostOf, isClientCredentials } from './credential.ts';
import type { FieldIssue } from './errors.ts';
import { type ForecastReason, forecast, type Lifespan } from './forecast.ts';
import { connectionProfile, type ProviderProfile, refreshMaxLifetime } from './provider-profile.ts';
import { type Instant, isExpired } from './token-set.ts';

export const HEALTHS = [
  'ok',
  'refresh_failing',
  'client_misconfigured',
  'access_token_expired',
  'configuration_invalid',
  'reconnect_soon',
] as const;
export type Health = (typeof HEALTHS)[number];

export const RENEWALS = ['proven', 'testing', 'unproven', 'impossible', 'not_connected'] as const;

/** Until when this connection lives without a person, as far as is known. */
export type Forecast = {
  /** null: no end is known. */
  lives_until: string | null;
  reason: ForecastReason;
  sentence: string;
};

/** The status of an OAuth connection as the admin API tells it. Instants are RFC 3339. */
export type OAuthStatus = {
  configured: boolean;
  grant: OAuthGrant;
  state: CredentialState;
  health: Health;
  /** One sentence: what is the case, and what to do next. */
  summary: string;
  needs_reauth: boolean;
  token_acquired: boolean;
  expires_at: string | null;
  last_refreshed_at: string | null;
  has_refresh_token: boolean;
  refresh_expires_at: string | null;
  last_error: string | null;
  failing_since: string | null;
  /** The provider has refused the token since then, and the refusal is not believed yet. */
  held_since: string | null;
  /** Many connections fail at its authorization server, which is therefore asked with one at a time. */
  issuer_incident: { opened_at: string; next_probe_at: string } | null;
  token_url: string | null;
  idp_host: string | null;
  scope: string | null;
  authenticated_by: string | null;
  authenticated_at: string | null;
  next_refresh_at: string | null;
  next_refresh_reason: string | null;
  generation: string;
  forecast: Forecast;
  /** The profile that holds, and what it rests on. */
  provider: Pick<ProviderProfile, 'id' | 'title' | 'source'>;
  /** Whether a refresh has proved that this grant can be renewed; `testing`: the first one is under way. */
  renewal: (typeof RENEWALS)[number];
  /** What will end it, though it works now; the worst first. */
  findings: Finding[];
  /** Nothing heals it, or keeps it alive, but a person. */
  needs_person: boolean;
  last_revocation: {
    occurred_at: string;
    reason: RevocationReason;
    idp_host: string | null;
    decided_by: Decider;
  } | null;
};

export function isoOrNull(instant: Instant | null | undefined): string | null {
  return instant === null || instant === undefined ? null : new Date(instant).toISOString();
}

/** Only the token is unreadable, not the configuration: a new consent heals it. */
export function isTokenIssue(issue: FieldIssue): boolean {
  return issue.path === 'access_token' || issue.path === 'refresh_token';
}

/** A person needs days, not minutes, to notice. */
const RECONNECT_WARNING_MS = 7 * 86_400_000;

function healthOf(
  credential: Credential,
  issues: readonly FieldIssue[],
  { lives_until }: Lifespan,
  now: Instant,
): Health {
  if (issues.length > 0) return 'configuration_invalid';
  if (credential.failure?.type === 'misconfigured') return 'client_misconfigured';
  if (credential.state === 'connected' && credential.token && isExpired(credential.token, now)) {
    return 'access_token_expired';
  }
  if (credential.failure || credential.ambiguous) return 'refresh_failing';
  if (lives_until !== null && lives_until - now <= RECONNECT_WARNING_MS) return 'reconnect_soon';
  return 'ok';
}

const REVOKED_SENTENCE: Record<RevocationReason, (host: string) => string> = {
  invalid_grant: (host) => `${host} rejected the refresh token (invalid_grant): the grant was revoked or has ended.`,
  refresh_expired: (host) => `${host} rejected the refresh token after its known lifetime had run out.`,
  rotation_outcome_lost: (host) =>
    `A refresh at ${host} may have succeeded, but its answer never reached this server, and the old token is now refused.`,
  no_refresh_token: (host) => `The access token ended and ${host} never gave a refresh token, so it cannot be renewed.`,
  disconnected: () => 'An operator disconnected this connection.',
  destination_changed: () => 'The token was dropped because an operator changed where it would be sent.',
  grant_changed: () => 'The token was dropped because an operator changed how it is obtained (oauth2_grant).',
  connection_deleted: () => 'An operator deleted this connection.',
};

const GET_TOKEN = 'Get a token on its page; nobody has to sign in.';

function failureSentence(credential: Credential, host: string): string {
  const { failure } = credential;
  const since = isoOrNull(failure?.since ?? null);
  const what = failure?.idp_error_code ?? failure?.error_class ?? 'ambiguous';
  return `Refreshing at ${host} has not succeeded since ${since ?? 'the last attempt'} (${what}).`;
}

/** Who can mend it depends on where the client comes from. */
function refusedClientSentence({ failure, binding }: Credential, host: string): string {
  const code = failure?.idp_error_code ?? 'invalid_client';
  const source = REFUSES_CLIENT.has(code) ? binding?.client_source : 'config';
  switch (source) {
    case 'dynamic_registration':
      return `${host} refuses the client that this server registered there (${code}). The token is kept and tried again; to go on now, reconnect it in a browser: that registers another client.`;
    case 'client_id_metadata_document':
      return `${host} refuses this server as a client (${code}). The token is kept and tried again: check that ${host} can fetch ${binding?.client_id}.`;
    default:
      return `${host} refuses this client (${code}). The token is kept: correct the client id, secret or scope; no new consent is needed.`;
  }
}

/** Why a token that was refused, or whose server fails everybody, is kept, and what happens next; undefined: neither. */
function waitingSentence({ failure, incident }: Credential, host: string): string | undefined {
  if (failure && incident) {
    const does = failure.held_since === undefined ? 'fails' : 'refuses';
    return `Since ${isoOrNull(incident.opened_at)} ${host} ${does} many connections at once, so the fault is taken to be its own and the token is kept: one connection asks every minute or so, and all are renewed when it answers. Nothing to do but to wait; reconnect in a browser only if you know that the grant has ended.`;
  }
  if (failure?.held_since === undefined) return undefined;
  const code = failure.idp_error_code ?? 'invalid_grant';
  return `${host} has refused the refresh token (${code}) since ${isoOrNull(failure.held_since)}. It is kept until another connection of ${host} has been asked and the refusal is repeated, mostly within a minute; nothing to do yet.`;
}

function renewalOf({ state, token, binding, next_refresh_reason }: Credential): OAuthStatus['renewal'] {
  if (state !== 'connected' || !token) return 'not_connected';
  // The first token was obtained the way every later one is.
  if (isClientCredentials(binding)) return 'proven';
  if (!token.has_refresh_token) return 'impossible';
  if (token.last_refreshed_at !== null) return 'proven';
  return next_refresh_reason === 'canary' ? 'testing' : 'unproven';
}

function summaryOf(
  credential: Credential,
  health: Health,
  issues: readonly FieldIssue[],
  lifespan: Lifespan,
  grant: OAuthGrant,
): string {
  const byItself = grant === 'client_credentials';
  const host = idpHostOf(credential.binding) ?? 'the identity provider';
  if (health === 'configuration_invalid') {
    const first = issues[0];
    if (first && isTokenIssue(first)) {
      return `The stored token ${first.message}. Start the server with the key that it was written with, or reconnect in a browser.`;
    }
    return `The stored configuration is not valid: ${first?.path ?? '?'} ${first?.message ?? ''}. Correct it and save.`;
  }
  if (credential.state === 'never_connected') {
    return `No token has been acquired yet. ${byItself ? GET_TOKEN : 'Connect it in a browser.'}`;
  }
  if (credential.state === 'revoked') {
    const { revocation } = credential;
    if (revocation?.first_refresh && revocation.reason === 'invalid_grant') {
      return `${host} rejected the very first refresh after the consent (invalid_grant): perhaps this client may not renew its grants. Check its settings and the scope at the provider, then reconnect it in a browser.`;
    }
    return `${revocation ? REVOKED_SENTENCE[revocation.reason](host) : 'The token is gone.'} ${byItself ? GET_TOKEN : 'Reconnect it in a browser.'}`;
  }
  if (health === 'client_misconfigured') return refusedClientSentence(credential, host);
  const waiting = waitingSentence(credential, host);
  if (waiting && health === 'access_token_expired') return `The access token has expired. ${waiting}`;
  if (waiting) return waiting;
  if (health === 'refresh_failing') {
    return `${failureSentence(credential, host)} The token is kept and retried automatically; nothing to do yet.`;
  }
  if (health === 'access_token_expired') {
    return credential.failure
      ? `The access token has expired. ${failureSentence(credential, host)} Retried automatically; check that ${host} can be reached.`
      : `The access token has expired and is being refreshed.`;
  }
  if (health === 'reconnect_soon') {
    const before = isoOrNull(lifespan.lives_until) ?? 'then';
    return `Connected, but a person is needed before ${before}. ${lifespan.sentence} Reconnect it in a browser before then.`;
  }
  if (renewalOf(credential) === 'testing') {
    return 'Connected. A first refresh is made now, to prove that this grant can be renewed.';
  }
  if (credential.incident) {
    return `Connected. Many connections of ${host} fail at the moment, so it is asked with one at a time; nothing to do.`;
  }
  return 'Connected. Tokens are refreshed in the background.';
}

/** Healths that only a person mends. */
const PERSONAL: ReadonlySet<Health> = new Set(['client_misconfigured', 'configuration_invalid', 'reconnect_soon']);

/** What is true of one OAuth connection now, from its row alone. */
export function oauthStatus(
  credential: Credential,
  config: ConnectionConfig | null,
  issues: readonly FieldIssue[],
  now: Instant,
): OAuthStatus {
  const { token, revocation, binding, failure, incident } = credential;
  const profile = connectionProfile(config, binding?.token_endpoint ?? null);
  const refresh_max_lifetime = refreshMaxLifetime(config, profile, token?.refresh_expires_at ?? null);
  const lifespan = forecast({ credential, profile, refresh_max_lifetime });
  const health = healthOf(credential, issues, lifespan, now);
  const grant = grantOf(config, binding);
  const findings = auditConnection({ credential, profile, config });
  const waitsForPerson = PERSONAL.has(health) || credential.state !== 'connected';
  return {
    configured: issues.length === 0,
    grant,
    state: credential.state,
    health,
    summary: summaryOf(credential, health, issues, lifespan, grant),
    needs_reauth: credential.state !== 'connected',
    token_acquired: credential.state === 'connected',
    expires_at: isoOrNull(token?.expires_at),
    last_refreshed_at: isoOrNull(token?.last_refreshed_at),
    has_refresh_token: token?.has_refresh_token ?? false,
    refresh_expires_at: isoOrNull(token?.refresh_expires_at),
    last_error: failure ? (failure.idp_error_code ?? failure.error_class) : null,
    failing_since: isoOrNull(failure?.since),
    held_since: isoOrNull(failure?.held_since),
    issuer_incident: incident && {
      opened_at: new Date(incident.opened_at).toISOString(),
      next_probe_at: new Date(incident.probe_at).toISOString(),
    },
    token_url: binding?.token_endpoint ?? config?.oauth2_token_url ?? null,
    idp_host: idpHostOf(binding),
    scope: token?.scope ?? null,
    authenticated_by: token?.authenticated_by ?? null,
    authenticated_at: isoOrNull(token?.authenticated_at),
    next_refresh_at: isoOrNull(credential.next_refresh_at),
    next_refresh_reason: credential.next_refresh_reason,
    generation: credential.generation.toString(),
    forecast: { ...lifespan, lives_until: isoOrNull(lifespan.lives_until) },
    provider: { id: profile.id, title: profile.title, source: profile.source },
    renewal: renewalOf(credential),
    findings,
    needs_person: waitsForPerson || findings.some(({ severity }) => severity === 'action'),
    last_revocation: revocation && {
      occurred_at: new Date(revocation.occurred_at).toISOString(),
      reason: revocation.reason,
      idp_host: revocation.idp_host,
      decided_by: revocation.decided_by,
    },
  };
}
