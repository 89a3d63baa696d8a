import type { ConnectionConfig } from '../../core/connection.ts';
import { credentialParameter } from '../credential-headers.ts';
import type { Scrubber } from '../credential-scrub.ts';
import { HOP_BY_HOP, isReserved, plainName } from './header-rules.ts';
import { belowBase } from './target.ts';

/** What speaks of the caller's way to us, or carries what lets it in here. */
const OURS = new Set(['authorization', 'origin', 'referer', 'x-api-key']);
const KEPT = new Set(['accept-encoding', 'content-length']);

function namedByConnection(headers: Headers): Set<string> {
  return new Set((headers.get('connection') ?? '').split(',').map((name) => name.trim().toLowerCase()));
}

/** The caller's headers, without what is between it and us: the key that let it in never reaches an upstream. */
export function forwardedHeaders(config: ConnectionConfig, headers: Headers, hasBody: boolean): Headers {
  const named = namedByConnection(headers);
  const kept = [...headers].filter(([name]) => {
    if (OURS.has(plainName(name)) || named.has(name)) return false;
    if (name === 'content-length') return hasBody;
    return KEPT.has(name) || !isReserved(config, name);
  });
  const forwarded = new Headers(kept);
  // Else the way out asks for compressed answers in its own name, and the caller gets what it did not ask for.
  if (!forwarded.has('accept-encoding')) forwarded.set('accept-encoding', 'identity');
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
  const returned = new Headers(
    [...headers].filter(
      ([name]) => !WITHHELD.has(name) && !named.has(name) && !WITHHELD_PREFIX.some((prefix) => name.startsWith(prefix)),
    ),
  );
  for (const name of ['location', 'content-location']) {
    const value = returned.get(name);
    if (value !== null) returned.set(name, seenByCaller(value, config, at));
  }
  const link = returned.get('link');
  if (link !== null) {
    returned.set(
      'link',
      link.replace(/<([^<>]*)>/g, (_, target: string) => `<${seenByCaller(target, config, at)}>`),
    );
  }
  return new Headers([...returned].map(([name, value]): [string, string] => [name, scrubber.text(value)]));
}
