import type { ConnectionConfig } from '../core/connection.ts';
import { destinationOf } from '../core/connection.ts';
import { AppError } from '../core/errors.ts';
import type { Clock, Fetch, ServerMetadata } from '../core/ports.ts';
import type { ProtectedResource } from './protected-resource.ts';
import { discoverResource } from './protected-resource.ts';
import { discoveryFailed, urlOf } from './remote-document.ts';
import type { IssuerMetadata } from './server-metadata.ts';
import { discoverIssuer } from './server-metadata.ts';

type Tools = { fetch: Fetch; clock: Clock };

const NO_RESOURCE: Omit<ProtectedResource, 'authorization_server'> = {
  resource: null,
  resource_scopes_supported: null,
  challenge_scope: null,
};

/** What the operator wrote wins over whatever any document says. */
function withTyped(config: ConnectionConfig, found: IssuerMetadata): IssuerMetadata {
  return {
    ...found,
    authorization_endpoint: config.oauth2_authorization_url ?? found.authorization_endpoint,
    token_endpoint: config.oauth2_token_url ?? found.token_endpoint,
    revocation_endpoint: config.oauth2_revocation_url ?? found.revocation_endpoint,
  };
}

function typedAlone(config: ConnectionConfig, authorizationUrl: string, tokenUrl: string): IssuerMetadata {
  return {
    issuer: config.oauth2_issuer ?? null,
    authorization_endpoint: authorizationUrl,
    token_endpoint: tokenUrl,
    revocation_endpoint: config.oauth2_revocation_url ?? null,
    registration_endpoint: null,
    token_endpoint_auth_methods_supported: null,
    scopes_supported: null,
    code_challenge_methods_supported: null,
    authorization_response_iss_parameter_supported: false,
    client_id_metadata_document_supported: false,
    source: 'configured',
  };
}

/**
 * PKCE with S256 is not optional. A list without it is a refusal. No list at all is one, too, by the MCP specification,
 * but OpenID Connect discovery does not know the field: a client that the operator registered there may go on, and the
 * challenge is sent all the same.
 */
function requirePkce(config: ConnectionConfig, metadata: IssuerMetadata): void {
  const methods = metadata.code_challenge_methods_supported;
  if (methods?.includes('S256') || (methods === null && config.oauth2_client_id)) return;
  throw discoveryFailed(
    `The authorization server at ${new URL(metadata.token_endpoint).host} does not say that it supports PKCE with S256.`,
    methods === null
      ? 'If it does, register a client there and set oauth2_client_id on the connection.'
      : 'It cannot be used safely; set oauth2_issuer to a server that supports it.',
  );
}

/** Both URLs were typed: nothing has to be found, and a typed issuer that cannot be asked takes nothing away. */
async function discoverTyped(tools: Tools, config: ConnectionConfig, alone: IssuerMetadata): Promise<IssuerMetadata> {
  if (config.oauth2_issuer === undefined) return alone;
  try {
    return withTyped(config, await discoverIssuer(tools, [config.oauth2_issuer], { url: 'typed' }));
  } catch (error) {
    if (error instanceof AppError) return alone;
    throw error;
  }
}

/** The upstream knows its server (RFC 9728); one of the 2025-03-26 kind is its own. */
async function discoverFromUpstream(tools: Tools, config: ConnectionConfig): Promise<ServerMetadata> {
  const endpoint = destinationOf(config);
  if (endpoint === undefined) throw discoveryFailed('The connection has no URL to ask for its authorization server.');
  const { problem, authorization_server, ...resource } = await discoverResource(tools, config, endpoint);
  if (authorization_server !== null) {
    if (urlOf(authorization_server) === null) {
      throw discoveryFailed(
        `The resource metadata of ${new URL(endpoint).host} names an unusable authorization server.`,
      );
    }
    const trust = { url: 'discovered', origin_of_trust: endpoint } as const;
    return { ...withTyped(config, await discoverIssuer(tools, [authorization_server], trust)), ...resource };
  }
  const { origin } = new URL(endpoint);
  try {
    const found = await discoverIssuer(tools, [origin, `${origin}/`], { url: 'typed' });
    return { ...withTyped(config, found), ...resource };
  } catch (error) {
    if (problem === null || !(error instanceof AppError)) throw error;
    throw new AppError('discovery_failed', `${problem} ${error.message}`, { cause: error });
  }
}

/**
 * Finds the authorization server of a connection: the typed URLs, else the typed issuer, else what the upstream says.
 * @throws AppError `discovery_failed` naming the step and what to configure by hand.
 */
export async function discover(tools: Tools, config: ConnectionConfig): Promise<ServerMetadata> {
  const { oauth2_authorization_url: authorizationUrl, oauth2_token_url: tokenUrl, oauth2_issuer: issuer } = config;
  if (authorizationUrl !== undefined && tokenUrl !== undefined) {
    const alone = typedAlone(config, authorizationUrl, tokenUrl);
    return { ...(await discoverTyped(tools, config, alone)), ...NO_RESOURCE };
  }
  const asksItself = config.oauth2_grant === 'client_credentials';
  // Nobody is sent to an authorization page, so none has to be found.
  if (asksItself && tokenUrl !== undefined) return { ...typedAlone(config, tokenUrl, tokenUrl), ...NO_RESOURCE };
  const metadata =
    issuer === undefined
      ? await discoverFromUpstream(tools, config)
      : { ...withTyped(config, await discoverIssuer(tools, [issuer], { url: 'typed' })), ...NO_RESOURCE };
  if (!asksItself) requirePkce(config, metadata);
  return metadata;
}
