import type { AppError } from '../core/errors.ts';
import type { Clock, Fetch, FetchInit, ServerMetadata } from '../core/ports.ts';
import type { Fields } from './remote-document.ts';
import { discoveryFailed, fetchDocument, textOf, textsOf, urlOf } from './remote-document.ts';

/** What the authorization server says of itself; which resource it is asked about comes from elsewhere. */
export type IssuerMetadata = Omit<ServerMetadata, 'resource' | 'resource_scopes_supported' | 'challenge_scope'>;

/**
 * The places of an issuer's metadata: RFC 8414 with the path inserted, then OpenID Connect in both forms.
 * @see https://www.rfc-editor.org/rfc/rfc8414#section-3.1
 * @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest
 */
export function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const urls = [`${origin}/.well-known/oauth-authorization-server${path}`];
  if (path !== '') urls.push(`${origin}/.well-known/openid-configuration${path}`);
  urls.push(`${origin}${path}/.well-known/openid-configuration`);
  return urls;
}

function sameIssuer(said: unknown, accepted: readonly string[]): boolean {
  return typeof said === 'string' && accepted.includes(said);
}

/** A server that names itself differently: worth telling, since it is what the operator should have typed. */
function issuerMismatch(url: string, fields: Fields): AppError {
  const said = urlOf(fields.issuer);
  const name = said === null || said.length > 200 ? 'another issuer' : `"${said}"`;
  return discoveryFailed(
    `The authorization server metadata at ${new URL(url).host} names ${name} as its issuer, which is not the one that was asked for.`,
    'If that is the right server, set oauth2_issuer to exactly what it calls itself; else set oauth2_authorization_url and oauth2_token_url.',
  );
}

/** https documents may not send the code or the secret over plain http. */
function isDowngrade(source: string, endpoint: string): boolean {
  return new URL(source).protocol === 'https:' && new URL(endpoint).protocol === 'http:';
}

function readMetadata(url: string, fields: Fields): IssuerMetadata {
  const host = new URL(url).host;
  const required = (name: 'authorization_endpoint' | 'token_endpoint'): string => {
    const endpoint = urlOf(fields[name]);
    if (endpoint === null)
      throw discoveryFailed(`The authorization server metadata at ${host} lacks a usable ${name}.`);
    if (isDowngrade(url, endpoint)) {
      throw discoveryFailed(`The authorization server metadata at ${host} gives a ${name} without TLS.`);
    }
    return endpoint;
  };
  const optional = (name: string): string | null => {
    const endpoint = urlOf(fields[name]);
    return endpoint === null || isDowngrade(url, endpoint) ? null : endpoint;
  };
  return {
    issuer: textOf(fields.issuer),
    authorization_endpoint: required('authorization_endpoint'),
    token_endpoint: required('token_endpoint'),
    revocation_endpoint: optional('revocation_endpoint'),
    registration_endpoint: optional('registration_endpoint'),
    token_endpoint_auth_methods_supported: textsOf(fields.token_endpoint_auth_methods_supported),
    scopes_supported: textsOf(fields.scopes_supported),
    code_challenge_methods_supported: textsOf(fields.code_challenge_methods_supported),
    authorization_response_iss_parameter_supported: fields.authorization_response_iss_parameter_supported === true,
    client_id_metadata_document_supported: fields.client_id_metadata_document_supported === true,
    source: url,
  };
}

/**
 * Finds and checks the metadata of an issuer. `issuers` are the spellings that the document may name itself by: one,
 * but for an origin, which is the same issuer with and without its trailing slash where nobody spelled it.
 * @throws AppError `discovery_failed`
 * @see https://www.rfc-editor.org/rfc/rfc8414#section-3.3
 */
export async function discoverIssuer(
  tools: { fetch: Fetch; clock: Clock },
  issuers: readonly [string, ...string[]],
  trust: FetchInit['trust'],
): Promise<IssuerMetadata> {
  const failures: string[] = [];
  for (const url of metadataUrls(issuers[0])) {
    const document = await fetchDocument(tools, url, trust);
    if (!document.found) {
      failures.push(`${url}: ${document.why}`);
      continue;
    }
    if (!sameIssuer(document.fields.issuer, issuers)) throw issuerMismatch(url, document.fields);
    return readMetadata(url, document.fields);
  }
  const { host } = new URL(issuers[0]);
  throw discoveryFailed(`No authorization server metadata was found at ${host} (${failures.join(' ')}).`);
}
