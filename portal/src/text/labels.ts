import type {
  AuthEventType,
  AuthMode,
  Connection,
  CredentialState,
  Decider,
  ErrorClass,
  GrantGrade,
  Health,
  OAuthStatus,
  RefreshReason,
  RevocationReason,
} from '../api/wire.ts';
import { AUTH_MODES } from '../api/wire.ts';
import type { Tone } from '../ui/tone.ts';

// Each record is keyed by the closed list of the wire: a new member without words here does not compile.

type Labelled = { label: string; tone: Tone };

export const STATE_LABELS: Record<CredentialState, Labelled> = {
  never_connected: { label: 'Never connected', tone: 'neutral' },
  connected: { label: 'Connected', tone: 'good' },
  revoked: { label: 'Revoked', tone: 'bad' },
};

export const HEALTH_LABELS: Record<Health, Labelled> = {
  ok: { label: 'Healthy', tone: 'good' },
  refresh_failing: { label: 'Refresh failing', tone: 'warn' },
  client_misconfigured: { label: 'Client refused', tone: 'bad' },
  access_token_expired: { label: 'Access token expired', tone: 'warn' },
  configuration_invalid: { label: 'Configuration invalid', tone: 'bad' },
  reconnect_soon: { label: 'Reconnect needed soon', tone: 'warn' },
};

export const GRADE_WORDS: Record<GrantGrade, string> = {
  no_refresh_token: 'no refresh token was given',
  session_bound: 'ends with the sign-in session',
  testing_mode: 'the consent screen seems to be in testing',
  short_refresh_token: 'the refresh token ends before the access token',
};

export const RENEWAL_WORDS: Record<OAuthStatus['renewal'], string> = {
  proven: 'Proven',
  testing: 'Being tried now',
  unproven: 'Not tried yet',
  impossible: 'Not possible',
  not_connected: 'Not connected',
};

export const EVENT_LABELS: Record<AuthEventType, Labelled> = {
  connect_started: { label: 'Connect started', tone: 'info' },
  connect_completed: { label: 'Connected', tone: 'good' },
  connect_failed: { label: 'Connect failed', tone: 'bad' },
  refresh_succeeded: { label: 'Token refreshed', tone: 'good' },
  refresh_failed_transient: { label: 'Refresh did not succeed, token kept', tone: 'warn' },
  refresh_failed_misconfigured: { label: 'Refresh refused: client misconfigured', tone: 'bad' },
  refresh_failed_revoked: { label: 'Refresh rejected for good', tone: 'bad' },
  refresh_rotation_persistence_failed: { label: 'New token could not be stored', tone: 'bad' },
  rotation_recovered: { label: 'New token recovered', tone: 'good' },
  token_deleted_revoked: { label: 'Token deleted', tone: 'bad' },
  token_deleted_admin: { label: 'Token deleted by an operator', tone: 'neutral' },
  token_revoked_upstream: { label: 'Token revoked at the identity provider', tone: 'neutral' },
  token_revocation_failed: { label: 'Token not revoked at the identity provider', tone: 'warn' },
};

export const ERROR_CLASS_WORDS: Record<ErrorClass, string> = {
  dns: 'the host name could not be resolved',
  connect: 'the connection was refused',
  tls: 'the secure connection could not be made',
  egress_refused: 'the address may not be reached from here',
  rate_limited: 'too many requests',
  unavailable: 'temporarily unavailable',
  timeout: 'no answer in time',
  reset: 'the connection broke before the answer',
  unreadable: 'the answer could not be read',
  ambiguous: 'the outcome is unknown',
  server_error: 'a server error',
  structured: 'an error of the identity provider',
};

export const REFRESH_REASON_WORDS: Record<RefreshReason, string> = {
  access_token_expiring: 'before the access token expires',
  refresh_token_expiring: 'before the refresh token expires',
  max_lifetime: 'before the refresh token’s configured lifetime runs out',
  retry: 'retry after a failure',
  operator: 'asked for by an operator',
  upstream_401: 'the upstream refused the access token',
  tool_call: 'needed by a tool call',
  canary: 'a first refresh, to prove that the grant can be renewed',
  issuer_check: 'to learn whether the provider still renews, after it refused another connection',
};

/** The wire leaves the reason open, so that an older portal survives a newer server. */
export function refreshReasonWords(reason: string): string {
  return Object.hasOwn(REFRESH_REASON_WORDS, reason) ? REFRESH_REASON_WORDS[reason as RefreshReason] : reason;
}

export const REVOCATION_WORDS: Record<RevocationReason, string> = {
  invalid_grant: 'the grant was revoked or has ended',
  no_refresh_token: 'there was no refresh token to renew with',
  refresh_expired: 'the refresh token had outlived its known lifetime',
  rotation_outcome_lost: 'the answer to an earlier refresh was lost',
  disconnected: 'the connection was disconnected',
  destination_changed: 'the address it belonged to was changed',
  grant_changed: 'the way in which it is obtained was changed',
  connection_deleted: 'the connection was deleted',
};

/** A rejection by the provider, a verdict of ours and a person's act are three different things (lesson 18). */
export const DECIDER_WORDS: Record<
  Decider,
  { title: (host: string) => string; explanation: (host: string) => string }
> = {
  idp: {
    title: (host) => `Rejected by ${host}`,
    explanation: (host) => `The identity provider ${host} itself answered that this grant is no longer valid.`,
  },
  platform: {
    title: () => 'Ended by this platform',
    explanation: (host) => `This platform’s own verdict: the token could not be renewed. ${host} did not reject it.`,
  },
  person: {
    title: () => 'Ended by a person',
    explanation: () => 'An operator’s action ended it; nothing was rejected.',
  },
};

export const AUTH_MODE_LABELS: Record<AuthMode, { label: string; hint: string }> = {
  oauth: { label: 'OAuth', hint: 'You sign in once in the browser; the platform keeps the token alive.' },
  none: { label: 'No sign-in', hint: 'The server needs no credential.' },
  bearer: { label: 'Bearer token', hint: 'A fixed token, sent as Authorization: Bearer.' },
  api_key: { label: 'API key', hint: 'A fixed key, sent in a header or a query parameter.' },
  basic: { label: 'User name and password', hint: 'Sent as Authorization: Basic.' },
};

/** As stored; a configuration that does not even say how to sign in is told as `none` beside its issues. */
export function authModeOf(connection: Connection): AuthMode {
  return AUTH_MODES.find((mode) => mode === connection.config.auth_mode) ?? 'none';
}

/** Where its requests go, whichever key its kind has for that. */
export function destinationText(connection: Connection): string {
  const { endpoint, base_url } = connection.config;
  return String(endpoint ?? base_url ?? '');
}

/** One sentence on any connection; the server's own where it has one. */
export function summaryText(connection: Connection): string {
  if (connection.oauth) return connection.oauth.summary;
  const [issue] = connection.issues;
  if (issue) return `The stored configuration is not valid: ${issue.path} ${issue.message}. Correct it and save.`;
  return AUTH_MODE_LABELS[authModeOf(connection)].hint;
}

const KIND_LABELS: Record<string, string> = { mcp: 'MCP server', api: 'HTTP API' };

export function kindLabel(kind: string): string {
  return KIND_LABELS[kind] ?? kind;
}

const ACTOR_LABELS: Record<string, string> = {
  'system:background-refresh': 'Background refresh',
  'system:refresh-canary': 'First refresh after the consent',
  'system:tool-call': 'A tool call',
  'system:recovery': 'Recovery after a restart',
  'admin:unattributed': 'An administrator',
};

/** Persons and API keys go by their own names; the platform's parts in words. */
export function actorLabel(actor: string): string {
  const known = ACTOR_LABELS[actor];
  if (known) return known;
  return actor.startsWith('apikey:') ? `API key ${actor.slice('apikey:'.length)}` : actor;
}
