import type { ConnectionConfig } from '../../core/connection.ts';
import { FIELD_VALUE } from '../../core/plain-headers.ts';
import { credentialHeader } from '../credential-headers.ts';

/** @see https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What only the platform or the transport may say, and what would turn one method into another behind our back. */
const REFUSED = new Set([
  ...HOP_BY_HOP,
  'accept-encoding',
  'authorization',
  'content-length',
  'cookie',
  'cookie2',
  'cf-connecting-ip',
  'cf-connecting-ipv6',
  'client-ip',
  'expect',
  'fastly-client-ip',
  'fly-client-ip',
  'forwarded',
  'host',
  'http2-settings',
  'set-cookie',
  'true-client-ip',
  'via',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-real-ip',
  'x-rewrite-url',
]);

const REFUSED_PREFIX = ['proxy-', 'sec-', 'x-forwarded-'];

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The one name of a header for the many servers that read `X_Api_Key` as `X-API-Key`, as CGI began. */
export function plainName(header: string): string {
  return header.toLowerCase().replaceAll('_', '-');
}

/** What a connection itself sets: asked for each header of each request. */
const setBy = new WeakMap<ConnectionConfig, ReadonlySet<string>>();

function headersSetBy(config: ConnectionConfig): ReadonlySet<string> {
  const known = setBy.get(config);
  if (known) return known;
  const names = [...Object.keys(config.static_headers ?? {}), credentialHeader(config) ?? ''];
  const ours = new Set(names.map(plainName));
  setBy.set(config, ours);
  return ours;
}

/** Whether a header is the platform's own business on this connection, however it is written. */
export function isReserved(config: ConnectionConfig, header: string): boolean {
  const name = plainName(header);
  if (REFUSED.has(name) || headersSetBy(config).has(name)) return true;
  return REFUSED_PREFIX.some((prefix) => name.startsWith(prefix));
}

export type HeaderFault = { at: string; message: string };

/**
 * What is wrong with the headers that a caller wants to send; none: they may go.
 * @param described whether a description says how a list or an object is written, and checks what comes of it
 */
export function headerFaults(
  config: ConnectionConfig,
  headers: Record<string, unknown>,
  described: boolean,
): HeaderFault[] {
  const faults: HeaderFault[] = [];
  for (const [name, value] of Object.entries(headers)) {
    const at = `headers.${name.slice(0, 100)}`;
    if (!HEADER_NAME.test(name)) faults.push({ at, message: 'is not a valid header name' });
    else if (isReserved(config, name)) {
      faults.push({ at, message: 'is set by the platform for this connection; leave it out' });
    } else if (typeof value === 'object') {
      if (!described) faults.push({ at, message: 'must be a text' });
    } else if (!FIELD_VALUE.test(String(value))) {
      faults.push({ at, message: 'must be one line of Latin-1 text' });
    }
  }
  return faults;
}

const SHOWN = new Set([
  'content-type',
  'content-length',
  'content-encoding',
  'etag',
  'last-modified',
  'link',
  'location',
  'retry-after',
  'x-total-count',
]);

/** The headers of an answer that a model is shown; everything else stays here. */
export function shownHeaders(headers: Headers): Record<string, string> {
  return Object.fromEntries([...headers].filter(([name]) => SHOWN.has(name) || name.startsWith('x-ratelimit-')));
}
