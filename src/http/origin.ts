import { AppError } from '../core/errors.ts';
import type { RequestHead } from '../core/plain-post.ts';

export type OriginRules = {
  /** @throws AppError forbidden when the request names a host that is not ours: DNS rebinding. */
  checkHost(request: RequestHead): void;
  /** @throws AppError forbidden when a page of another site sent it. */
  checkOrigin(request: RequestHead): void;
  /** @throws AppError forbidden unless a page of this very server sent it, or, with `lenient`, no page at all. */
  checkSameOrigin(request: RequestHead, options?: { lenient?: boolean }): void;
  /** Whether the browser is at the address to which identity providers send it back. */
  isAtPublicHost(request: RequestHead): boolean;
};

const MOST_KNOWN_HOSTS = 100;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

function hostUrl(host: string | null): URL | undefined {
  if (!host || /[\s/\\?#@]/.test(host) || !URL.canParse(`http://${host}`)) return undefined;
  return new URL(`http://${host}`);
}

function requestHost(request: RequestHead): URL | undefined {
  return hostUrl(request.headers.get('host') ?? new URL(request.url).host);
}

function originOf(request: RequestHead): URL | 'none' | 'opaque' {
  const origin = request.headers.get('origin');
  if (origin === null) return 'none';
  return /^https?:/.test(origin) && URL.canParse(origin) ? new URL(origin) : 'opaque';
}

/**
 * Which hosts are this server, and which pages may speak for its operator.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning
 */
export function createOriginRules(publicUrl: string, allowedHosts: readonly string[]): OriginRules {
  const own = new URL(publicUrl);
  const names = new Set([...LOOPBACK, own.hostname]);
  const pairs = new Set<string>();
  for (const allowed of allowedHosts) {
    const url = hostUrl(allowed);
    if (!url) throw new TypeError(`allowed_hosts: "${allowed}" is not a host or host:port`);
    if (url.port) pairs.add(url.host);
    else names.add(url.hostname);
  }
  const isKnown = (url: URL) => names.has(url.hostname) || pairs.has(url.host);
  // To parse a URL costs more than the rest of the checks; clients say the same few hosts again and again.
  const knownHosts = new Set<string>();
  const foreign = () =>
    new AppError(
      'forbidden',
      'The request comes from a page of another site (its Origin header), so it was refused. Open the portal at its own address, or send the request without a browser.',
    );

  return {
    checkHost(request) {
      const said = request.headers.get('host');
      if (said !== null && knownHosts.has(said)) return;
      const host = requestHost(request);
      if (host && isKnown(host)) {
        // Each port of a known name is another text.
        if (knownHosts.size >= MOST_KNOWN_HOSTS) knownHosts.clear();
        if (said !== null) knownHosts.add(said);
        return;
      }
      throw new AppError(
        'forbidden',
        'This server does not answer to the host name in the Host header. Use the address in public_url, or add the name to allowed_hosts.',
      );
    },
    checkOrigin(request) {
      const origin = originOf(request);
      if (origin === 'none') return;
      if (origin === 'opaque' || !isKnown(origin)) throw foreign();
    },
    checkSameOrigin(request, { lenient = false } = {}) {
      const site = request.headers.get('sec-fetch-site');
      const origin = originOf(request);
      if (site !== null && site !== 'same-origin' && !(lenient && site === 'none')) throw foreign();
      if (origin === 'none') {
        // Every browser of today names the origin of a POST, PUT or DELETE: nothing at all is a program with a cookie.
        if (site === null && !lenient) throw foreign();
        return;
      }
      if (origin === 'opaque') throw foreign();
      // Behind a proxy that ends TLS the scheme differs, the host does not.
      if (origin.origin !== own.origin && origin.host !== requestHost(request)?.host) throw foreign();
    },
    isAtPublicHost: (request) => requestHost(request)?.host === hostUrl(own.host)?.host,
  };
}

/** A path of this site with its query, else undefined: never another host, a scheme, or a backslash that becomes one. */
export function safePath(text: string | null | undefined): string | undefined {
  if (!text || text.length > 2_000 || !/^\/(?![/\\])[^\\\s]*$/.test(text)) return undefined;
  const base = 'http://site.invalid';
  if (!URL.canParse(text, base)) return undefined;
  const url = new URL(text, base);
  const path = url.pathname + url.search + url.hash;
  return url.origin === base && !path.startsWith('//') ? path : undefined;
}
