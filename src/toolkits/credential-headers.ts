import type { ConnectionConfig } from '../core/connection.ts';
import { FIELD_VALUE, type PlainHeaders, plainHeaders } from '../core/plain-headers.ts';
import type { Secret } from '../core/redact.ts';

export const DEFAULT_API_KEY_HEADER = 'X-API-Key';

function basicCredentials(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}

/** The rest of the query stays as it is written: some upstreams sign it, or want `%20` where a form has `+`. */
function withParameter(given: URL, name: string, value: string): URL {
  const url = new URL(given);
  if (url.searchParams.has(name)) url.searchParams.delete(name);
  url.search += `${url.search === '' ? '' : '&'}${new URLSearchParams([[name, value]]).toString()}`;
  return url;
}

/** The header that carries the connection's credential, in lower case; undefined where none does. */
export function credentialHeader(config: ConnectionConfig): string | undefined {
  if (config.auth_mode === 'none') return undefined;
  if (config.auth_mode !== 'api_key') return 'authorization';
  const inQuery = credentialParameter(config) !== undefined;
  return inQuery ? undefined : (config.api_key_header ?? DEFAULT_API_KEY_HEADER).toLowerCase();
}

/** The query parameter that carries the connection's credential; undefined where none does. */
export function credentialParameter(config: ConnectionConfig): string | undefined {
  return config.auth_mode === 'api_key' && config.api_key_placement === 'query' ? config.api_key_param : undefined;
}

/** What these say is no secret, and is in nearly every answer. */
const PUBLIC_HEADERS = new Set(['accept', 'accept-language', 'cache-control', 'content-type', 'prefer', 'user-agent']);

/** Every text of the credential that a careless upstream might send back: it is looked for, never logged. */
export function credentialTexts(config: ConnectionConfig, token: Secret | undefined): string[] {
  const { auth_mode: mode, credential, username, password } = config;
  const secret = Object.entries(config.static_headers ?? {}).filter(
    ([name]) => !PUBLIC_HEADERS.has(name.toLowerCase()),
  );
  const texts = secret.map(([, value]) => value);
  if ((mode === 'bearer' || mode === 'api_key') && credential) texts.push(credential);
  if (mode === 'basic' && password) texts.push(password, basicCredentials(username ?? '', password).slice(6));
  if (token) texts.push(token.reveal());
  return texts;
}

/** The field whose text no header can carry; undefined: each can be sent. */
function uncarriedField(config: ConnectionConfig): string | undefined {
  const { auth_mode: mode, credential = '', static_headers = {} } = config;
  const carries = mode === 'bearer' || (mode === 'api_key' && credentialParameter(config) === undefined);
  if (carries && !FIELD_VALUE.test(credential)) return 'field credential';
  const [name] = Object.entries(static_headers).find(([, value]) => !FIELD_VALUE.test(value)) ?? [];
  return name && `field static_headers.${name}`;
}

function credentialHeaders(config: ConnectionConfig): PlainHeaders {
  const { auth_mode: mode, credential = '', username = '', password = '' } = config;
  if (mode === 'bearer') return { authorization: `Bearer ${credential}` };
  if (mode === 'basic') return { authorization: basicCredentials(username, password) };
  const name = credentialHeader(config);
  return mode === 'api_key' && name !== undefined ? { [name]: credential } : {};
}

/** What one connection puts on each request to its own origin. */
export type Authorization = {
  /** What cannot be sent, as a person knows it: `access token`, or a field; undefined: all can. */
  uncarried(token: Secret | undefined): string | undefined;
  /** A static header gives way to one that the request already has, the credential to none. */
  headers(given: PlainHeaders, token: Secret | undefined): PlainHeaders;
  url(given: URL): URL;
};

/** The static headers and the credential of a connection, written once for all of its requests. */
export function authorizationOf(config: ConnectionConfig): Authorization {
  const uncarried = uncarriedField(config);
  const statics = uncarried === undefined ? plainHeaders(config.static_headers) : {};
  const own = credentialHeaders(config);
  const adds = Object.keys(statics).length > 0 || Object.keys(own).length > 0;
  const parameter = credentialParameter(config);
  return {
    uncarried: (token) => (token && !FIELD_VALUE.test(token.reveal()) ? 'access token' : uncarried),
    headers: (given, token) => {
      if (token) return { ...statics, ...given, ...own, authorization: `Bearer ${token.reveal()}` };
      return adds ? { ...statics, ...given, ...own } : given;
    },
    url: (given) => (parameter === undefined ? given : withParameter(given, parameter, config.credential ?? '')),
  };
}
