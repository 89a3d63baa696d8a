import type { ToolChangeList } from '../../src/contract/call-schemas.ts';
import type { GatewayStatus } from '../../src/contract/gateway-schemas.ts';
import {
  type AuthEvent,
  CALL_OUTCOMES,
  type CallList,
  type Connection,
  type OAuthStatus,
} from '../../src/contract/schemas.ts';

const MINUTE = 60_000;

/** RFC 3339, so many minutes from now. */
export function at(minutes: number): string {
  return new Date(Date.now() + minutes * MINUTE).toISOString();
}

export const HOST = 'login.example.com';

export function connectedStatus(over: Partial<OAuthStatus> = {}): OAuthStatus {
  return {
    configured: true,
    grant: 'authorization_code',
    state: 'connected',
    health: 'ok',
    summary: 'Connected. Tokens are refreshed in the background.',
    needs_reauth: false,
    token_acquired: true,
    expires_at: at(42),
    last_refreshed_at: at(-18),
    has_refresh_token: true,
    refresh_expires_at: at(60 * 24 * 30),
    last_error: null,
    failing_since: null,
    held_since: null,
    issuer_incident: null,
    token_url: `https://${HOST}/oauth/token`,
    idp_host: HOST,
    scope: 'openid offline_access read:issues write:issues',
    authenticated_by: 'dana@example.com',
    authenticated_at: at(-60 * 24 * 12),
    next_refresh_at: at(37),
    next_refresh_reason: 'access_token_expiring',
    generation: '17',
    forecast: {
      lives_until: null,
      reason: 'refreshed_automatically',
      sentence: 'Refreshed before its refresh token ends, for as long as the identity provider honours it.',
    },
    provider: { id: 'keycloak', title: 'Keycloak', source: 'described' },
    renewal: 'proven',
    findings: [],
    needs_person: false,
    last_revocation: null,
    ...over,
  };
}

const GONE: Partial<OAuthStatus> = {
  needs_reauth: true,
  token_acquired: false,
  expires_at: null,
  last_refreshed_at: null,
  has_refresh_token: false,
  refresh_expires_at: null,
  scope: null,
  authenticated_by: null,
  authenticated_at: null,
  next_refresh_at: null,
  next_refresh_reason: null,
  forecast: { lives_until: null, reason: 'not_connected', sentence: 'Not connected.' },
};

export function neverConnectedStatus(): OAuthStatus {
  return connectedStatus({
    ...GONE,
    state: 'never_connected',
    summary: 'No token has been acquired yet. Connect it in a browser.',
    idp_host: null,
    token_url: null,
  });
}

const REVOKED = {
  idp: ['invalid_grant', `${HOST} rejected the refresh token (invalid_grant): the grant was revoked or has ended.`],
  platform: [
    'no_refresh_token',
    `The access token ended and ${HOST} never gave a refresh token, so it cannot be renewed.`,
  ],
  person: ['disconnected', 'An operator disconnected this connection.'],
} as const;

export function revokedStatus(decided_by: keyof typeof REVOKED): OAuthStatus {
  const [reason, sentence] = REVOKED[decided_by];
  return connectedStatus({
    ...GONE,
    state: 'revoked',
    summary: `${sentence} Reconnect it in a browser.`,
    last_revocation: { occurred_at: at(-95), reason, idp_host: HOST, decided_by },
  });
}

export function failingStatus(): OAuthStatus {
  return connectedStatus({
    health: 'refresh_failing',
    summary: `Refreshing at ${HOST} has not succeeded since ${at(-30)} (timeout). The token is kept and retried automatically; nothing to do yet.`,
    failing_since: at(-30),
    last_error: 'timeout',
    next_refresh_at: at(4),
    next_refresh_reason: 'retry',
  });
}

/** A connection that asks in its own name. */
export const GETS_TOKEN: Partial<OAuthStatus> = { grant: 'client_credentials' };

export function ownClientStatus(): OAuthStatus {
  return connectedStatus({
    ...GETS_TOKEN,
    has_refresh_token: false,
    refresh_expires_at: null,
    forecast: {
      lives_until: null,
      reason: 'client_credentials',
      sentence: `Tokens are obtained with the client's own secret for as long as ${HOST} accepts it; nobody signs in.`,
    },
  });
}

export function incidentStatus(): OAuthStatus {
  const since = at(-12);
  return connectedStatus({
    health: 'refresh_failing',
    summary: `Since ${since} ${HOST} refuses many connections at once, so the fault is taken to be its own and the token is kept: one connection asks every minute or so, and all are renewed when it answers. Nothing to do but to wait; reconnect in a browser only if you know that the grant has ended.`,
    failing_since: since,
    held_since: since,
    issuer_incident: { opened_at: since, next_probe_at: at(1) },
    last_error: 'invalid_grant',
    next_refresh_at: at(1),
    next_refresh_reason: 'retry',
  });
}

export function misconfiguredStatus(): OAuthStatus {
  return connectedStatus({
    health: 'client_misconfigured',
    summary: `${HOST} refuses this client (invalid_client). The token is kept: correct the client id, secret or scope; no new consent is needed.`,
    failing_since: at(-200),
    last_error: 'invalid_client',
    expires_at: at(-140),
    next_refresh_at: at(55),
    next_refresh_reason: 'retry',
  });
}

export function answering(over: Partial<GatewayStatus> = {}): GatewayStatus {
  return {
    state: 'ok',
    tools: 23,
    prompts: 2,
    resources: 140,
    listed_at: at(-3),
    last_success_at: at(-0.5),
    last_error: null,
    ...over,
  };
}

export const NEVER_LISTED = { tools: 0, prompts: 0, resources: 0, listed_at: null, last_success_at: null } as const;

export function down(name: string, over: Partial<GatewayStatus> = {}): GatewayStatus {
  return answering({
    state: 'unavailable',
    listed_at: at(-190),
    last_success_at: at(-184),
    last_error: {
      code: 'upstream_unreachable',
      message: `The upstream of mcp/${name} cannot be reached: it does not accept connections. Nothing was sent; try again later.`,
      at: at(-2),
    },
    ...over,
  });
}

export function connection(name: string, over: Partial<Connection> = {}): Connection {
  return {
    kind: 'mcp',
    name,
    description: '',
    source: 'api',
    config: { endpoint: `https://mcp.${name}.example/mcp`, auth_mode: 'oauth' },
    issues: [],
    created_at: at(-60 * 24 * 40),
    updated_at: at(-60 * 24 * 12),
    updated_by: 'dana@example.com',
    oauth: connectedStatus(),
    gateway: answering(),
    ...over,
  };
}

/** The newest first, a day of background refreshes after a connect. */
export function history(name: string, count: number): AuthEvent[] {
  return Array.from({ length: count }, (_, index): AuthEvent => {
    const first = index === count - 1;
    return {
      id: `event-${name}-${index}`,
      sequence: String(10_000 - index),
      occurred_at: at(-18 - index * 55),
      connection_kind: 'mcp',
      connection_name: name,
      event_type: first ? 'connect_completed' : 'refresh_succeeded',
      actor: first ? 'dana@example.com' : 'system:background-refresh',
      idp_host: HOST,
      detail: first
        ? { scope: 'openid offline_access', has_refresh_token: true, expires_at: at(-18 - index * 55 + 60) }
        : { reason: 'access_token_expiring', rotated_refresh: true, duration_ms: 312 + index },
    };
  });
}

const TOOLS = ['list_issues', 'create_issue', 'search', null] as const;

/** The newest first, every outcome in turn. */
export function calls(name: string, count: number, kind = 'mcp'): CallList['calls'] {
  return Array.from({ length: count }, (_, index) => {
    const tool = TOOLS[index % TOOLS.length] ?? null;
    return {
      id: `call-${name}-${index}`,
      occurred_at: at(-0.3 - index * 7),
      connection_kind: kind,
      connection_name: name,
      actor: index % 3 === 0 ? 'apikey:nightly-agents' : 'dana@example.com',
      method: tool ? 'tools/call' : 'resources/read',
      tool,
      operation: null,
      outcome: CALL_OUTCOMES[index % CALL_OUTCOMES.length] ?? 'ok',
      duration_ms: 14 + index * 311,
      request_bytes: 120 + index * 900,
      response_bytes: index % 4 === 3 ? null : 2_600 * (index + 1) ** 2,
      era: 'modern' as const,
      arguments: null,
      replica_id: 'replica-1',
    };
  });
}

/** The newest first. */
export function toolChanges(count: number): ToolChangeList['tool_changes'] {
  return Array.from({ length: count }, (_, index) => {
    const change = (['changed', 'added', 'removed'] as const)[index % 3] ?? 'changed';
    return {
      id: `change-${index}`,
      occurred_at: at(-60 * (index + 1)),
      tool: ['create_issue', 'archive_issue', 'find_by_label'][index % 3] ?? 'tool',
      change,
      parts: change === 'changed' ? (['description', 'inputSchema'] as const).slice() : [],
      before_digest: change === 'added' ? null : 'a'.repeat(64),
      after_digest: change === 'removed' ? null : 'b'.repeat(64),
    };
  });
}
