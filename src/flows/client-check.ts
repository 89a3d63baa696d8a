import { type ClientTrial, clientSentence, clientVerdict, methodsToTry } from '../core/client-check.ts';
import type { ConnectionConfig, TokenEndpointAuthMethod } from '../core/connection.ts';
import { type Credential, idpHostOf } from '../core/credential.ts';
import type { AuthorizationServer, Clock, Random, TokenRequestClient, ToolkitTest } from '../core/ports.ts';
import { connectionProfile } from '../core/provider-profile.ts';
import { Secret } from '../core/redact.ts';
import { holdsKey, provingBy, tokenRequestClient, trustOf } from '../core/token-client.ts';
import { readTokenReply, type TokenAnswer } from '../core/token-response.ts';

export type ClientCheckDeps = {
  authorizationServer: Pick<AuthorizationServer, 'refresh'>;
  clock: Clock;
  random: Random;
};

/** A person waits for it. */
const CHECK_MS = 5_000;
const BOGUS_BYTES = 32;

/**
 * Lets a client prove itself with a refresh token that never was one: drawn here, of no use to anybody, so that nothing
 * is spent or rotated. A stored token is never presented but through the one door.
 */
export async function presentBogusToken(
  { authorizationServer, clock, random }: ClientCheckDeps,
  client: TokenRequestClient,
  config: ConnectionConfig,
): Promise<TokenAnswer> {
  const reply = await authorizationServer.refresh(client, {
    refresh_token: new Secret(Buffer.from(random.bytes(BOGUS_BYTES)).toString('base64url')),
    listen_ms: CHECK_MS,
    origin_of_trust: trustOf(client.binding, config),
    profile: connectionProfile(config, client.binding.token_endpoint),
  });
  return readTokenReply(reply, clock.now());
}

export type ClientCheck = {
  configured: TokenEndpointAuthMethod;
  /** In the order tried; it ends with the first that is accepted, or that says nothing clear. */
  trials: ClientTrial[];
  sentence: string;
};

/**
 * Which client authentication method works at the token endpoint of a connection, at most one request for each.
 * @returns null where it is not known yet who would be asked
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3
 */
export async function checkClient(
  deps: ClientCheckDeps,
  config: ConnectionConfig,
  { binding }: Pick<Credential, 'binding'>,
  stored: Secret | null,
): Promise<ClientCheck | null> {
  if (config.auth_mode !== 'oauth' || binding === null) return null;
  const client = tokenRequestClient(binding, config, stored);
  const configured = client.binding.token_endpoint_auth_method;
  const { dead_grant_codes } = connectionProfile(config, client.binding.token_endpoint);
  const trials: ClientTrial[] = [];
  const own = config.oauth2_client_id === client.binding.client_id;
  const kept = client.client_secret !== null;
  const has = {
    secret: (own && config.oauth2_client_secret !== undefined) || (kept && !holdsKey(client)),
    private_key: (own && config.oauth2_client_private_key_pem !== undefined) || (kept && holdsKey(client)),
  };
  for (const method of methodsToTry(configured, has)) {
    const asking = own
      ? provingBy(method, config, client)
      : { ...client, binding: { ...client.binding, token_endpoint_auth_method: method } };
    const answer = await presentBogusToken(deps, asking, config);
    const verdict = clientVerdict(answer, dead_grant_codes);
    trials.push({ method, verdict, idp_error_code: answer.type === 'error' ? answer.error : null });
    if (verdict !== 'refused') break;
  }
  const host = idpHostOf(client.binding) ?? 'the identity provider';
  return { configured, trials, sentence: clientSentence(host, configured, trials, binding.client_source) };
}

/** A token that works today is no success while the client that must renew it is refused. */
export function withClient(
  { ok, message, details }: ToolkitTest,
  { configured, trials, sentence }: ClientCheck,
): ToolkitTest {
  const refused = trials[0]?.verdict === 'refused';
  return {
    ok: ok && !refused,
    message: `${message} ${refused && ok ? 'But its token cannot be renewed: ' : ''}${sentence}`,
    details: { ...details, client_authentication: { configured, trials } },
  };
}
