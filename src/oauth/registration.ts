import { safeErrorCode } from '../core/auth-event.ts';
import type { TokenEndpointAuthMethod } from '../core/connection.ts';
import { TOKEN_ENDPOINT_AUTH_METHODS } from '../core/connection.ts';
import { issuerOf } from '../core/credential.ts';
import { AppError } from '../core/errors.ts';
import type { Clock, Fetch, RegisteredClient, ServerMetadata } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import { readLimited } from './limited-body.ts';
import type { Fields } from './remote-document.ts';
import { failureOf, isFields, textOf } from './remote-document.ts';

export type ClientMetadata = { client_name: string; client_uri?: string };

export type RegistrationRequest = {
  redirect_uri: string;
  scope: string | null;
  trust: string;
  tls_ca_bundle_pem?: string;
};

const REGISTRATION_TIMEOUT_MS = 15_000;
const BY_HAND =
  'Register a client there by hand, and set oauth2_client_id (and oauth2_client_secret) on the connection.';

function registrationFailed(what: string, cause?: unknown): AppError {
  return new AppError('registration_failed', `${what} ${BY_HAND}`, { cause });
}

function isLoopback(uri: string): boolean {
  const { hostname } = new URL(uri);
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);
}

/** A server can keep a secret, so a confidential client comes first. An absent list means basic (RFC 8414 §2). */
function requestedMethod(supported: readonly string[] | null): TokenEndpointAuthMethod {
  const preferred = ['client_secret_basic', 'client_secret_post', 'none'] as const;
  if (supported === null || supported.length === 0) return 'client_secret_basic';
  const method = preferred.find((candidate) => supported.includes(candidate));
  if (method) return method;
  throw registrationFailed('The authorization server accepts none of the client authentication methods that we have.');
}

function grantedMethod(fields: Fields, asked: TokenEndpointAuthMethod, hasSecret: boolean): TokenEndpointAuthMethod {
  if (!hasSecret) return 'none';
  const told = textOf(fields.token_endpoint_auth_method);
  // We register no key, so that whoever answers with it means something else.
  const known = TOKEN_ENDPOINT_AUTH_METHODS.filter((candidate) => candidate !== 'private_key_jwt');
  const method = known.find((candidate) => candidate === told) ?? asked;
  // A secret that came uninvited, with no word on how to use it, is meant to be used.
  return method === 'none' && told === null ? 'client_secret_basic' : method;
}

function readClient(
  fields: Fields,
  asked: TokenEndpointAuthMethod,
  issuer: string,
  redirectUri: string,
): RegisteredClient {
  const clientId = textOf(fields.client_id);
  if (clientId === null) throw registrationFailed('The authorization server registered a client without an id.');
  const secret = textOf(fields.client_secret);
  const expires = Number(fields.client_secret_expires_at ?? 0);
  return {
    issuer,
    redirect_uri: redirectUri,
    client_id: clientId,
    client_secret: secret === null ? null : new Secret(secret),
    token_endpoint_auth_method: grantedMethod(fields, asked, secret !== null),
    client_secret_expires_at: Number.isFinite(expires) && expires > 0 ? expires * 1000 : null,
  };
}

async function readFields(response: Response): Promise<Fields> {
  const body = await readLimited(response);
  if (body.type === 'too_large') return {};
  try {
    const fields: unknown = JSON.parse(body.text);
    return isFields(fields) ? fields : {};
  } catch {
    return {};
  }
}

/**
 * Registers us as a client of an authorization server that has not seen us.
 * @throws AppError `registration_failed`
 * @see https://www.rfc-editor.org/rfc/rfc7591#section-3
 */
export async function registerClient(
  tools: { fetch: Fetch; clock: Clock; clientMetadata: ClientMetadata },
  metadata: ServerMetadata,
  request: RegistrationRequest,
): Promise<RegisteredClient> {
  const { host } = new URL(metadata.token_endpoint);
  const url = metadata.registration_endpoint;
  if (url === null) throw registrationFailed(`The authorization server ${host} does not register clients by itself.`);
  const method = requestedMethod(metadata.token_endpoint_auth_methods_supported);
  const client = {
    ...tools.clientMetadata,
    redirect_uris: [request.redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    application_type: isLoopback(request.redirect_uri) ? 'native' : 'web',
    token_endpoint_auth_method: method,
    ...(request.scope === null ? {} : { scope: request.scope }),
  };
  let response: Response;
  try {
    response = await tools.fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      body: JSON.stringify(client),
      signal: tools.clock.timeout(REGISTRATION_TIMEOUT_MS),
      trust: { url: 'discovered', origin_of_trust: request.trust },
      ...(request.tls_ca_bundle_pem ? { tls: { ca: request.tls_ca_bundle_pem } } : {}),
    });
  } catch (error) {
    throw registrationFailed(
      `The authorization server could not be asked to register a client. ${failureOf(error)}`,
      error,
    );
  }
  const fields = await readFields(response);
  if (response.status >= 300) {
    const error = textOf(fields.error);
    const why = error === null ? '' : `, error ${safeErrorCode(error)}`;
    throw registrationFailed(`${new URL(url).host} refused to register a client (status ${response.status}${why}).`);
  }
  return readClient(fields, method, issuerOf(metadata), request.redirect_uri);
}
