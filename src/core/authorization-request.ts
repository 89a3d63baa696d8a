import { safeErrorCode } from './auth-event.ts';
import type { ConnectionConfig, TokenEndpointAuthMethod } from './connection.ts';
import { destinationOf } from './connection.ts';
import type { ServerMetadata } from './ports.ts';
import type { ProviderProfile } from './provider-profile.ts';

const OFFLINE_ACCESS = 'offline_access';

export type ScopeChoice = { scope: string | null; prompt?: 'consent' };

/**
 * The scope to ask for. What the operator wrote is sent verbatim. Otherwise what the upstream asked for, plus the scope
 * that brings a refresh token where the server lists it. `offline_access` needs `prompt=consent`: without it servers
 * drop the scope silently.
 * @see https://openid.net/specs/openid-connect-core-1_0.html#OfflineAccess
 */
export function chooseScope(
  config: Pick<ConnectionConfig, 'oauth2_scope'>,
  metadata: Pick<ServerMetadata, 'challenge_scope' | 'resource_scopes_supported' | 'scopes_supported'>,
  profile: Pick<ProviderProfile, 'scope_for_refresh_token'>,
): ScopeChoice {
  if (config.oauth2_scope) return withConsent(config.oauth2_scope, config.oauth2_scope.split(/\s+/));
  const asked = metadata.challenge_scope ?? metadata.resource_scopes_supported?.join(' ') ?? '';
  const scopes = new Set(asked.split(/\s+/).filter((scope) => scope !== ''));
  const extra = profile.scope_for_refresh_token ?? OFFLINE_ACCESS;
  // Without a list from the server, only a known provider's scope is safe, and only beside others: alone it would
  // narrow what the client gets by default.
  const known = profile.scope_for_refresh_token !== null && metadata.scopes_supported === null && scopes.size > 0;
  if (known || metadata.scopes_supported?.includes(extra)) scopes.add(extra);
  const scope = scopes.size > 0 ? [...scopes].join(' ') : null;
  return withConsent(scope, [...scopes]);
}

function withConsent(scope: string | null, scopes: readonly string[]): ScopeChoice {
  return scopes.includes(OFFLINE_ACCESS) ? { scope, prompt: 'consent' } : { scope };
}

/**
 * The RFC 8707 `resource` to send at authorise, token and refresh; null: none. Automatic for MCP servers, whose
 * specification asks for it, unless the provider is known to refuse it.
 * @see https://www.rfc-editor.org/rfc/rfc8707#section-2
 */
export function chooseResource(
  kind: string,
  config: Pick<ConnectionConfig, 'oauth2_resource' | 'endpoint' | 'base_url'>,
  metadata: Pick<ServerMetadata, 'resource'>,
  profile: Pick<ProviderProfile, 'accepts_resource'>,
): string | null {
  const setting = config.oauth2_resource ?? 'auto';
  if (setting === 'off') return null;
  if (setting !== 'auto') return setting;
  if (kind !== 'mcp' || !profile.accepts_resource) return null;
  return metadata.resource ?? destinationOf(config as ConnectionConfig) ?? null;
}

/**
 * How a client proves itself where nobody configured it: not at all without a secret, else the first of basic and post
 * that the server lists, else basic, which RFC 8414 makes the default.
 * @see https://www.rfc-editor.org/rfc/rfc8414#section-2
 */
export function defaultAuthMethod(hasSecret: boolean, supported: readonly string[] | null): TokenEndpointAuthMethod {
  if (!hasSecret) return 'none';
  const preferred = ['client_secret_basic', 'client_secret_post'] as const;
  return preferred.find((method) => supported?.includes(method)) ?? 'client_secret_basic';
}

/** The URL that an operator typed and by which requests to the authorization server are trusted (design: egress). */
export function originOfTrust(config: ConnectionConfig): string {
  const origin = config.oauth2_token_url ?? config.oauth2_issuer ?? destinationOf(config);
  if (origin === undefined) throw new TypeError('a connection with oauth has a destination');
  return origin;
}

export type AuthorizationRequest = {
  authorization_endpoint: string;
  client_id: string;
  redirect_uri: string;
  state: string;
  /** S256. */
  code_challenge: string;
  scope: string | null;
  resource: string | null;
  /** Wins over a `prompt` among `extra`. */
  prompt?: string | undefined;
  /** The provider's and the operator's own parameters; they never replace those of the flow. */
  extra?: Readonly<Record<string, string>>;
};

/**
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1
 * @see https://www.rfc-editor.org/rfc/rfc7636#section-4.3
 */
export function authorizationUrl(request: AuthorizationRequest): string {
  const url = new URL(request.authorization_endpoint);
  for (const [name, value] of Object.entries(request.extra ?? {})) url.searchParams.set(name, value);
  const own: Record<string, string | null | undefined> = {
    response_type: 'code',
    client_id: request.client_id,
    redirect_uri: request.redirect_uri,
    state: request.state,
    code_challenge: request.code_challenge,
    code_challenge_method: 'S256',
    scope: request.scope,
    resource: request.resource,
    prompt: request.prompt,
  };
  for (const [name, value] of Object.entries(own)) {
    if (value !== null && value !== undefined && value !== '') url.searchParams.set(name, value);
  }
  return url.href;
}

export type AuthorizationResponse =
  | { type: 'code'; code: string }
  /** The server refused: a code of RFC 6749 §4.1.2.1, safe to show. */
  | { type: 'error'; error: string }
  | { type: 'problem'; problem: 'missing_code' | 'repeated_parameter' | 'wrong_issuer' | 'missing_issuer' };

/**
 * Reads what the authorization server sent back with the browser, the state aside. The issuer is checked before
 * anything else, errors included: an answer of another server says nothing about this flow.
 * @see https://www.rfc-editor.org/rfc/rfc9207#section-2.4
 */
export function readAuthorizationResponse(
  params: URLSearchParams,
  expected: { issuer: string | null; iss_required: boolean },
): AuthorizationResponse {
  for (const name of ['code', 'error', 'iss', 'state']) {
    if (params.getAll(name).length > 1) return { type: 'problem', problem: 'repeated_parameter' };
  }
  const iss = params.get('iss');
  if (iss === null && expected.iss_required) return { type: 'problem', problem: 'missing_issuer' };
  if (iss !== null && expected.issuer !== null && iss !== expected.issuer) {
    return { type: 'problem', problem: 'wrong_issuer' };
  }
  const error = params.get('error');
  if (error !== null) return { type: 'error', error: safeErrorCode(error) };
  const code = params.get('code');
  return code ? { type: 'code', code } : { type: 'problem', problem: 'missing_code' };
}
