import { createHash } from 'node:crypto';
import type {
  AuthorizationServer,
  Clock,
  Fetch,
  Random,
  TokenRequestClient,
  TokenRequestTaste,
} from '../core/ports.ts';
import { providerProfile } from '../core/provider-profile.ts';
import { fetchOf } from '../core/tls-material.ts';
import { discover } from './discovery.ts';
import type { ClientMetadata } from './registration.ts';
import { registerClient } from './registration.ts';
import { revocationRequest, tokenRequest } from './token-endpoint.ts';

function tasteOf({ binding }: TokenRequestClient, { profile }: { profile?: TokenRequestTaste }): TokenRequestTaste {
  return profile ?? providerProfile(undefined, binding.token_endpoint);
}

/** Us as a client of authorization servers. */
export function createAuthorizationServer(tools: {
  fetch: Fetch;
  clock: Clock;
  random: Random;
  /** How we introduce ourselves where we register (RFC 7591). */
  clientMetadata: ClientMetadata;
}): AuthorizationServer {
  return {
    codeChallenge: async (verifier) => createHash('sha256').update(verifier, 'ascii').digest('base64url'),
    discover: (config) => discover({ ...tools, fetch: fetchOf(tools.fetch, config) }, config),
    register: (metadata, request) => registerClient(tools, metadata, request),
    exchangeCode: (client, request) =>
      tokenRequest(tools, client, {
        fields: {
          grant_type: 'authorization_code',
          code: request.code,
          redirect_uri: request.redirect_uri,
          code_verifier: request.code_verifier.reveal(),
          resource: client.binding.resource,
        },
        accept: tasteOf(client, request).token_accept,
        listen_ms: request.listen_ms,
        origin_of_trust: request.origin_of_trust,
      }),
    clientCredentials: (client, request) =>
      tokenRequest(tools, client, {
        fields: {
          grant_type: 'client_credentials',
          scope: client.binding.scope,
          resource: client.binding.resource,
        },
        accept: tasteOf(client, request).token_accept,
        listen_ms: request.listen_ms,
        origin_of_trust: request.origin_of_trust,
      }),
    refresh: (client, request) => {
      const profile = tasteOf(client, request);
      return tokenRequest(tools, client, {
        fields: {
          grant_type: 'refresh_token',
          refresh_token: request.refresh_token.reveal(),
          scope: profile.scope_on_refresh ? client.binding.scope : null,
          resource: client.binding.resource,
        },
        accept: profile.token_accept,
        listen_ms: request.listen_ms,
        origin_of_trust: request.origin_of_trust,
      });
    },
    revoke: (client, request) => revocationRequest(tools, client, request),
  };
}
