import type { ConnectionConfig } from '../../core/connection.ts';
import type { PlainHeaders } from '../../core/plain-headers.ts';
import { credentialParameter } from '../credential-headers.ts';
import type { Scrubber } from '../credential-scrub.ts';
import { HOP_BY_HOP, isReserved, plainName } from './header-rules.ts';
import { belowBase } from './target.ts';

/** What speaks of the caller's way to us, or carries what lets it in here. */
const OURS = new Set(['authorization', 'origin', 'referer', 'x-api-key']);

const NONE: ReadonlySet<string> = new Set();

function namedByConnection(headers: Headers): ReadonlySet<string> {
  const connection = headers.get('connection');
  return connection === null ? NONE : new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}

/** The caller's headers, without what is between it and us: the key that let it in never reaches an upstream. */
export function forwardedHeaders(config: ConnectionConfig, headers: Headers, hasBody: boolean): PlainHeaders {
  const named = namedByConnection(headers);
  // Else the way out asks for compressed answers in its own name, and the caller gets what it did not ask for.
  const forwarded: PlainHeaders = { 'accept-encoding': 'identity' };
  for (const [name, value] of headers) {
    if (OURS.has(plainName(name)) || named.has(name)) continue;
    const kept = name === 'content-length' ? hasBody : name === 'accept-encoding' || !isReserved(config, name);
    if (kept) forwarded[name] = value;
  }
  return forwarded;
}

/** What an upstream may not say in our name: to browsers, about our origin, about our door. */
const WITHHELD = new Set([
  ...HOP_BY_HOP,
  'alt-svc',
  'clear-site-data',
  'content-security-policy',
  'content-security-policy-report-only',
  'nel',
  'public-key-pins',
  'refresh',
  'report-to',
  'reporting-endpoints',
  'service-worker-allowed',
  'set-cookie',
  'set-cookie2',
  'sourcemap',
  'strict-transport-security',
  'www-authenticate',
  'x-frame-options',
]);

const WITHHELD_PREFIX = ['access-control-', 'cross-origin-', 'proxy-'];

/** `/…` for an address below the base URL, which our caller reaches through us; else the absolute one. */
function seenByCaller(text: string, config: ConnectionConfig, at: URL): string {
  if (!URL.canParse(text, at.href)) return text;
  const url = new URL(text, at);
  const parameter = credentialParameter(config);
  // Only where it is there: what is deleted from is written anew, and a signed address would no longer fit its signature.
  if (parameter !== undefined && url.searchParams.has(parameter)) url.searchParams.delete(parameter);
  const below = belowBase(String(config.base_url), url);
  return below === undefined ? url.href : below + url.hash;
}

/**
 * The upstream's headers as its caller may have them. Addresses below the base URL are written `/…`, for whoever knows
 * under which address the caller reaches the connection.
 * @param at the URL that answered
 * @param scrubber of the credential that was sent
 */
export function returnedHeaders(config: ConnectionConfig, headers: Headers, at: URL, scrubber: Scrubber): Headers {
  const named = namedByConnection(headers);
  const seen = (name: string, value: string): string => {
    if (name === 'location' || name === 'content-location') return seenByCaller(value, config, at);
    if (name !== 'link') return value;
    return value.replace(/<([^<>]*)>/g, (_, target: string) => `<${seenByCaller(target, config, at)}>`);
  };
  const returned = new Headers();
  for (const [name, value] of headers) {
    const withheld = WITHHELD.has(name) || WITHHELD_PREFIX.some((prefix) => name.startsWith(prefix));
    if (!withheld && !named.has(name)) returned.append(name, scrubber.text(seen(name, value)));
  }
  return returned;
}
