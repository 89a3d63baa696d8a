import {
  authorizationUrl,
  chooseResource,
  chooseScope,
  defaultAuthMethod,
  originOfTrust,
} from '../core/authorization-request.ts';
import { type ConnectionConfig, type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isTokenIssue } from '../core/connection-status.ts';
import { type ClientBinding, issuerOf } from '../core/credential.ts';
import { AppError } from '../core/errors.ts';
import type {
  AuthorizationServer,
  Clock,
  Connection,
  ConnectionStore,
  Log,
  PendingConsent,
  Random,
  RegisteredClient,
  RegistrationStore,
  ServerMetadata,
} from '../core/ports.ts';
import { connectionProfile, type ProviderProfile } from '../core/provider-profile.ts';
import { Secret } from '../core/redact.ts';
import { provingBy, typedMethod } from '../core/token-client.ts';
import { forgetRefused, isStillRegistered } from './dead-registration.ts';

export type ConsentRequestDeps = {
  connections: Pick<ConnectionStore, 'read'>;
  registrations: RegistrationStore;
  authorizationServer: AuthorizationServer;
  random: Random;
  clock: Clock;
  log: Log;
  redirectUri: string;
  /** Set only where public_url is public https: there the server can fetch our metadata document. */
  clientIdMetadataUrl: string | null;
};

/** RFC 7636 §4.1: 32 bytes give the recommended 43 characters. */
const VERIFIER_BYTES = 32;

type Client = Pick<ClientBinding, 'client_id' | 'token_endpoint_auth_method' | 'client_assertion' | 'client_source'> & {
  client_secret: Secret | null;
};

function fromRegistration(client: RegisteredClient): Client {
  const { client_id, client_secret, token_endpoint_auth_method } = client;
  return { client_id, client_secret, token_endpoint_auth_method, client_source: 'dynamic_registration' };
}

/** What a binding says of the server and of what was asked for; the client comes to it. */
export function bindingOf(
  config: ConnectionConfig,
  metadata: ServerMetadata,
  resource: string | null,
  scope: string | null,
): Omit<ClientBinding, keyof Client> {
  return {
    issuer: metadata.issuer,
    authorization_endpoint: metadata.authorization_endpoint,
    token_endpoint: metadata.token_endpoint,
    revocation_endpoint: config.oauth2_revocation_url ?? metadata.revocation_endpoint,
    resource,
    scope,
    ...(config.tls_ca_bundle_pem ? { tls_ca_bundle_pem: config.tls_ca_bundle_pem } : {}),
  };
}

export function configuredClient(
  config: ConnectionConfig,
  metadata: ServerMetadata,
  profile: ProviderProfile,
): Client | undefined {
  if (!config.oauth2_client_id) return undefined;
  const secret = config.oauth2_client_secret;
  const method =
    typedMethod(config, null) ??
    (secret === undefined ? null : profile.token_endpoint_auth_method) ??
    defaultAuthMethod(secret !== undefined, metadata.token_endpoint_auth_methods_supported);
  const bound = { ...bindingOf(config, metadata, null, null), client_id: config.oauth2_client_id };
  const binding = { ...bound, token_endpoint_auth_method: method, client_source: 'config' } as const;
  const proving = provingBy(method, config, { binding, client_secret: null });
  const { client_id, token_endpoint_auth_method, client_source, client_assertion } = proving.binding;
  const signs = client_assertion === undefined ? {} : { client_assertion };
  return { client_id, token_endpoint_auth_method, client_source, ...signs, client_secret: proving.client_secret };
}

/** The client that we registered there before; undefined when there is none, or the server no longer knows it. */
async function rememberedClient(
  deps: ConsentRequestDeps,
  { key, config }: Connection,
  metadata: ServerMetadata,
): Promise<Client | undefined> {
  const known = await deps.registrations.read(key, issuerOf(metadata), deps.redirectUri);
  if (!known) return undefined;
  if (known.client_secret_expires_at !== null && known.client_secret_expires_at <= deps.clock.now()) return undefined;
  const { client_secret, ...bound } = fromRegistration(known);
  const binding = { ...bindingOf(config, metadata, null, null), ...bound };
  // Where no other can be had, the one that is remembered is the only chance.
  if (metadata.registration_endpoint === null || (await isStillRegistered(deps, { binding, client_secret }, config))) {
    return { ...bound, client_secret };
  }
  await forgetRefused(deps, key, binding, 'invalid_client');
  return undefined;
}

/** A client from the configuration, else our metadata document, else one that we registered or register now. */
async function chooseClient(
  deps: ConsentRequestDeps,
  connection: Connection,
  metadata: ServerMetadata,
  scope: string | null,
  profile: ProviderProfile,
): Promise<Client> {
  const configured = configuredClient(connection.config, metadata, profile);
  if (configured) return configured;
  if (deps.clientIdMetadataUrl !== null && metadata.client_id_metadata_document_supported) {
    return {
      client_id: deps.clientIdMetadataUrl,
      client_secret: null,
      token_endpoint_auth_method: 'none',
      client_source: 'client_id_metadata_document',
    };
  }
  const { key, config } = connection;
  const { redirectUri: redirect_uri, registrations } = deps;
  const remembered = await rememberedClient(deps, connection, metadata);
  if (remembered) return remembered;
  if (metadata.registration_endpoint === null) {
    throw new AppError(
      'registration_failed',
      `${connectionLabel(key)}: ${new URL(metadata.token_endpoint).host} does not register clients by itself. Create an OAuth client there with the redirect URI ${redirect_uri}, then set oauth2_client_id (and oauth2_client_secret).`,
    );
  }
  const registered = await deps.authorizationServer.register(metadata, {
    redirect_uri,
    scope,
    trust: originOfTrust(config),
    ...(config.tls_ca_bundle_pem ? { tls_ca_bundle_pem: config.tls_ca_bundle_pem } : {}),
  });
  await registrations.save(key, registered);
  return fromRegistration(registered);
}

/** @throws AppError not_found, invalid_config, invalid_request (auth_mode is not oauth) */
export async function connectionFor(
  deps: Pick<ConsentRequestDeps, 'connections'>,
  key: ConnectionKey,
): Promise<Connection> {
  const connection = await deps.connections.read(key);
  if (!connection) {
    throw new AppError('not_found', `There is no connection ${connectionLabel(key)}. Create it first.`);
  }
  const issue = connection.issues.find((candidate) => !isTokenIssue(candidate));
  if (issue) {
    throw new AppError('invalid_config', `${connectionLabel(key)} is not valid: ${issue.path} ${issue.message}.`, {
      issues: connection.issues,
    });
  }
  if (connection.config.auth_mode !== 'oauth') {
    throw new AppError(
      'invalid_request',
      `${connectionLabel(key)} has auth_mode ${connection.config.auth_mode}; only auth_mode oauth is connected in a browser.`,
    );
  }
  return connection;
}

/**
 * Everything that one authorization request needs, found out and fixed: which server, which client, which scope and
 * resource. What is fixed here is what every later refresh uses.
 * @throws AppError not_found, invalid_config, invalid_request, discovery_failed, registration_failed
 */
export async function buildConsent(
  deps: ConsentRequestDeps,
  key: ConnectionKey,
  state: string,
  request: Pick<PendingConsent, 'actor' | 'return_url' | 'created_at' | 'expires_at'>,
): Promise<{ consent: PendingConsent; revision: bigint }> {
  const connection = await connectionFor(deps, key);
  const { config } = connection;
  if (config.oauth2_grant === 'client_credentials') {
    const message = `${connectionLabel(key)} obtains its tokens by itself (oauth2_grant client_credentials): nobody signs in. Get a token with reacquire-oauth.`;
    throw new AppError('invalid_request', message);
  }
  const metadata = await deps.authorizationServer.discover(config);
  const profile = connectionProfile(config, metadata.token_endpoint);
  const { scope, prompt } = chooseScope(config, metadata, profile);
  const resource = chooseResource(key.kind, config, metadata, profile);
  const client = await chooseClient(deps, connection, metadata, scope, profile);
  const verifier = Buffer.from(deps.random.bytes(VERIFIER_BYTES)).toString('base64url');
  const { client_secret, ...bound } = client;
  const binding: ClientBinding = { ...bindingOf(config, metadata, resource, scope), ...bound };
  const authorization_url = authorizationUrl({
    authorization_endpoint: metadata.authorization_endpoint,
    client_id: client.client_id,
    redirect_uri: deps.redirectUri,
    state,
    code_challenge: await deps.authorizationServer.codeChallenge(verifier),
    scope,
    resource,
    prompt: config.oauth2_prompt ?? prompt,
    extra: { ...profile.authorize_params, ...config.oauth2_authorize_params },
  });
  const consent: PendingConsent = {
    key,
    incarnation: connection.incarnation,
    redirect_uri: deps.redirectUri,
    code_verifier: new Secret(verifier),
    binding,
    client_secret,
    issuer: metadata.issuer,
    iss_required: metadata.authorization_response_iss_parameter_supported,
    authorization_url,
    ...request,
  };
  return { consent, revision: connection.revision };
}
