import { originOfTrust } from './authorization-request.ts';
import type { ConnectionConfig, TokenEndpointAuthMethod } from './connection.ts';
import { type ClientBinding, isClientCredentials } from './credential.ts';
import type { TokenRequestClient } from './oauth-ports.ts';
import { connectionProfile } from './provider-profile.ts';
import { Secret } from './redact.ts';

const originOf = (url: string) => new URL(url).origin;

/** A typed URL may correct one of the consent, as long as it stays at the very server that the secrets are bound to. */
function corrected(typed: string | undefined, bound: string): string {
  return typed !== undefined && originOf(typed) === originOf(bound) ? typed : bound;
}

/**
 * How the configured client proves itself as far as its fields say it: as named, or by the only thing that it has.
 * @returns undefined where they do not: a secret may be sent in several ways.
 */
export function typedMethod(
  config: ConnectionConfig,
  bound: TokenEndpointAuthMethod | null,
): TokenEndpointAuthMethod | undefined {
  if (config.oauth2_token_endpoint_auth_method) return config.oauth2_token_endpoint_auth_method;
  if (config.oauth2_client_secret) return bound === 'private_key_jwt' ? 'client_secret_basic' : undefined;
  return config.oauth2_client_private_key_pem ? 'private_key_jwt' : undefined;
}

/** What a client holds beside its id: the same column of a row is a secret to be sent for one, a key to sign with for another. */
export function holdsKey({ binding }: Pick<TokenRequestClient, 'binding'>): boolean {
  return binding.token_endpoint_auth_method === 'private_key_jwt';
}

/**
 * The configured client, proving itself in this way. What is not configured is taken from what was bound, if that is of
 * the sort: no key is ever sent for a secret.
 */
export function provingBy(
  method: TokenEndpointAuthMethod,
  config: ConnectionConfig,
  client: TokenRequestClient,
): TokenRequestClient {
  const { client_assertion: _former, ...binding } = client.binding;
  const signs = method === 'private_key_jwt';
  const proof = signs ? config.oauth2_client_private_key_pem : config.oauth2_client_secret;
  const { issuer, token_endpoint } = binding;
  const { client_assertion_audience } = connectionProfile(config, token_endpoint);
  const audience = client_assertion_audience === 'token_endpoint' ? token_endpoint : (issuer ?? token_endpoint);
  const client_assertion = { key_id: config.oauth2_client_key_id ?? null, audience };
  const kept = holdsKey(client) === signs ? client.client_secret : null;
  return {
    binding: { ...binding, token_endpoint_auth_method: method, ...(signs ? { client_assertion } : {}) },
    client_secret: proof === undefined ? kept : new Secret(proof),
  };
}

/**
 * The client as bound at the consent, to present its tokens with. What an operator corrected since then heals it without
 * a new consent: the path of the token endpoint, whom its certificate is traced to, and the secret and method of the same
 * client.
 * @param config null where it cannot be used: then nothing but what was bound counts.
 */
export function tokenRequestClient(
  binding: ClientBinding,
  config: ConnectionConfig | null,
  stored: Secret | null,
): TokenRequestClient {
  const token_endpoint = corrected(config?.oauth2_token_url, binding.token_endpoint);
  // Nobody consented to the client and scope of a client that asks in its own name: what is configured now is asked for.
  const own = isClientCredentials(binding)
    ? { client_id: config?.oauth2_client_id ?? binding.client_id, scope: config?.oauth2_scope ?? binding.scope }
    : {};
  const bound = { ...binding, token_endpoint, ...own };
  if (config) delete bound.tls_ca_bundle_pem;
  if (config?.tls_ca_bundle_pem) bound.tls_ca_bundle_pem = config.tls_ca_bundle_pem;
  if (config?.oauth2_client_id !== bound.client_id) return { binding: bound, client_secret: stored };
  const method = typedMethod(config, binding.token_endpoint_auth_method) ?? binding.token_endpoint_auth_method;
  return provingBy(method, config, { binding: bound, client_secret: stored });
}

/** The typed URL by which the server of a binding may be reached in a private network. */
export function trustOf(binding: ClientBinding, config: ConnectionConfig | null): string {
  return config ? originOfTrust(config) : binding.token_endpoint;
}

/**
 * The same for RFC 7009. A typed endpoint counts where it is on a server that the consent was given to; on any other
 * one it waits for a new consent, because tokens and the client's secret would travel to a host that nobody gave them to.
 */
export function revocationClient(
  binding: ClientBinding,
  config: ConnectionConfig | null,
  stored: Secret | null,
): TokenRequestClient {
  const client = tokenRequestClient(binding, config, stored);
  const bound = [binding.revocation_endpoint, binding.token_endpoint, binding.issuer].flatMap((url) => url ?? []);
  const typed = config?.oauth2_revocation_url;
  const known = typed !== undefined && bound.some((url) => originOf(url) === originOf(typed));
  const revocation_endpoint = known ? typed : binding.revocation_endpoint;
  return { ...client, binding: { ...client.binding, revocation_endpoint } };
}
