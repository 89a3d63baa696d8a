import { lookup as dnsLookup } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import { Agent, buildConnector } from 'undici';
import type { AbortLike } from './core/cancellation.ts';
import { plainHeaders } from './core/plain-headers.ts';
import type { Fetch, FetchInit, TlsMaterial } from './core/ports.ts';
import { EgressError } from './core/ports.ts';
import { classifyAddress } from './egress-address.ts';
import { ACCEPT_ENCODING, type Destination, send } from './egress-request.ts';
import { tlsMark, tlsOptions } from './egress-tls.ts';

export type EgressOptions = {
  /** Name → addresses. The default asks the machine's resolver, so /etc/hosts counts. */
  resolve?: (hostname: string) => Promise<readonly string[]>;
  connect_timeout_ms?: number;
};

/** Which addresses a connection may be opened to. Connections are pooled per policy, so none inherits a wider one. */
type Policy = 'typed' | 'discovered_inside' | 'discovered_outside';
type Reason = EgressError['reason'];
type Discovered = Extract<FetchInit['trust'], { url: 'discovered' }>;

const CONNECT_TIMEOUT_MS = 10_000;
/** Beyond every timeout that a caller brings; it only frees requests that came without any. */
const HEADERS_TIMEOUT_MS = 900_000;
/** Well before servers that say nothing, or promise a minute, close a connection that rests. */
const IDLE_MS = 30_000;
/** One for each set of certificates and policy; what is no longer used, as after a change, ends behind these. */
const MAX_AGENTS = 256;
const MAX_SETTLED = 1_024;

const systemResolve = async (hostname: string): Promise<readonly string[]> =>
  (await dnsLookup(hostname, { all: true, order: 'verbatim' })).map((entry) => entry.address);

function bareHost(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function refusal(policy: Policy, protocol: string, address: string): string | undefined {
  const kind = classifyAddress(address);
  if (kind === 'forbidden') return 'is a link-local, metadata or reserved address, which is never reached';
  if (policy === 'typed') return undefined;
  if (kind === 'public') {
    return protocol === 'http:' ? 'would be reached without TLS, though nobody typed that URL' : undefined;
  }
  return policy === 'discovered_inside'
    ? undefined
    : 'is inside a private network, and was named by a server that is not';
}

/** Every address of the host, all of them allowed: one that is not refuses the whole name. */
async function allowedAddresses(
  resolve: (hostname: string) => Promise<readonly string[]>,
  policy: Policy,
  protocol: string,
  hostname: string,
): Promise<readonly string[]> {
  const host = bareHost(hostname);
  let addresses: readonly string[] = [host];
  if (isIP(host) === 0) {
    try {
      addresses = await resolve(host);
    } catch {
      addresses = [];
    }
    if (addresses.length === 0) throw new EgressError('not_sent', 'dns', `The name ${host} does not resolve.`);
  }
  for (const address of addresses) {
    const why = refusal(policy, protocol, address);
    if (why) throw new EgressError('not_sent', 'egress_refused', `${host} is refused: its address ${why}.`);
  }
  return addresses;
}

/** Hands the checked addresses to the socket, so that no second resolution can give others (DNS rebinding). */
function pinnedLookup(addresses: readonly string[]): LookupFunction {
  const entries = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_hostname, options, callback) => {
    if (options.all) return callback(null, entries);
    const [first] = entries;
    return first ? callback(null, first.address, first.family) : callback(new Error('no address'), '', 0);
  };
}

const TCP_CODES = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENETDOWN',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
  'EMFILE',
  'EINVAL',
]);

function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code);
    if (at instanceof AggregateError) codes.push(...at.errors.flatMap(codesOf));
  }
  return codes;
}

/** A connection that could not be opened: nothing was sent, whatever the reason. */
function connectError(error: unknown, protocol: string, host: string): EgressError {
  if (error instanceof EgressError) return error;
  const codes = codesOf(error);
  if (codes.includes('UND_ERR_CONNECT_TIMEOUT')) {
    return new EgressError('not_sent', 'timeout', `${host} did not accept a connection in time.`);
  }
  if (protocol === 'https:' && !codes.some((code) => TCP_CODES.has(code))) {
    return new EgressError('not_sent', 'tls', `No trusted TLS connection to ${host} could be made.`);
  }
  return new EgressError('not_sent', 'connect', `No connection to ${host} could be opened.`);
}

function pinningConnector(
  resolve: (hostname: string) => Promise<readonly string[]>,
  policy: Policy,
  timeout: number,
  tls: TlsMaterial | undefined,
): buildConnector.connector {
  return (options, callback) => {
    const fail = (error: unknown) =>
      callback(connectError(error, options.protocol, options.host ?? options.hostname), null);
    allowedAddresses(resolve, policy, options.protocol, options.hostname).then((addresses) => {
      const lookup = pinnedLookup(addresses);
      const base = { lookup, timeout, allowH2: false, autoSelectFamily: true, ...tlsOptions(tls) };
      // What Node cannot use of the material it says by throwing.
      try {
        buildConnector(base)({ ...options, hostname: bareHost(options.hostname) }, (error, socket) =>
          error ? fail(error) : callback(null, socket as NonNullable<typeof socket>),
        );
      } catch (error) {
        fail(error);
      }
    }, fail);
  };
}

function egressError(error: unknown, phase: EgressError['phase'], host: string, signal?: AbortLike): EgressError {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (at instanceof EgressError) return at;
  const timedOut = codesOf(error).some((code) => code.endsWith('_TIMEOUT')) || isTimeout(signal?.reason);
  if (timedOut) return new EgressError(phase, 'timeout', `${host} did not answer in time.`);
  if (signal?.aborted) return new EgressError(phase, 'aborted', `The request to ${host} was cancelled.`);
  const reason: Reason = phase === 'not_sent' ? 'connect' : 'reset';
  return new EgressError(phase, reason, `The connection to ${host} broke.`);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

const OWN_HEADERS = { accept: '*/*', 'accept-encoding': ACCEPT_ENCODING, 'user-agent': 'mcp-data-platform' };

/** Names and values in turn, which undici takes as they are: cheaper than one more object with a shape of its own. */
function headerList(headers: FetchInit['headers']): string[] {
  const given = plainHeaders(headers);
  const list: string[] = [];
  for (const [name, value] of Object.entries(OWN_HEADERS)) if (!(name in given)) list.push(name, value);
  for (const [name, value] of Object.entries(given)) list.push(name, value);
  return list;
}

function destination(address: string | URL): Destination {
  const url = typeof address === 'string' && URL.canParse(address) ? new URL(address) : address;
  if (typeof url === 'string' || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new EgressError('not_sent', 'egress_refused', 'The address is not an http or https URL.');
  }
  const { origin, protocol, hostname, host, pathname, search, href } = url;
  return { origin, protocol, hostname, host, path: pathname + search, href };
}

/**
 * The way out. Redirects are never followed: a 3xx comes back as it is, or is refused with `redirect: 'error'`.
 * A name is resolved once per connection, every address of it is checked, and the socket gets those addresses.
 */
export function createEgress(options: EgressOptions = {}): Fetch & { close(): Promise<void> } {
  const resolve = options.resolve ?? systemResolve;
  const timeout = options.connect_timeout_ms ?? CONNECT_TIMEOUT_MS;
  const agents = new Map<string, Agent>();
  let newest: string | undefined;
  /** Of which nothing is left to ask here: literal addresses that were found allowed, and names, asked at each connect. */
  const settled = new Set<string>();

  const agentFor = (policy: Policy, { connection = 'pooled', tls }: FetchInit): Agent => {
    const id = `${policy} ${connection} ${tls ? tlsMark(tls) : ''}`;
    const known = agents.get(id);
    // Last in the order of a Map: the one that rests the longest goes first.
    if (known && id !== newest && agents.delete(id)) agents.set(id, known);
    newest = id;
    if (known) return known;
    for (const [oldest, resting] of agents) {
      if (agents.size < MAX_AGENTS) break;
      agents.delete(oldest);
      void resting.close();
    }
    const agent = new Agent({
      connect: pinningConnector(resolve, policy, timeout, tls),
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveMaxTimeout: IDLE_MS,
      // Event streams may be silent for hours.
      bodyTimeout: 0,
      pipelining: connection === 'fresh' ? 0 : 1,
    });
    agents.set(id, agent);
    return agent;
  };

  /** Inside only where every address of the origin of trust is: a public name cannot vouch for a private one. */
  const policyFor = async (to: Destination, { origin_of_trust }: Discovered): Promise<Policy> => {
    const origin = destination(origin_of_trust);
    if (origin.origin === to.origin) return 'typed';
    const host = bareHost(origin.hostname);
    const addresses = isIP(host) ? [host] : await resolve(host).catch(() => []);
    const inside = addresses.length > 0 && addresses.every((address) => classifyAddress(address) !== 'public');
    return inside ? 'discovered_inside' : 'discovered_outside';
  };

  const check = async (policy: Policy, protocol: string, hostname: string): Promise<void> => {
    if (isIP(bareHost(hostname)) !== 0) await allowedAddresses(resolve, policy, protocol, hostname);
    if (settled.size >= MAX_SETTLED) settled.clear();
    settled.add(`${policy} ${protocol} ${hostname}`);
  };

  const egress = async (address: string | URL, init: FetchInit): Promise<Response> => {
    const { trust, method = 'GET', body, encoding, signal } = init;
    const to = destination(address);
    const policy = trust.url === 'typed' ? 'typed' : await policyFor(to, trust);
    // A literal address skips the socket's lookup, and a pooled socket the connector: so ask here, too.
    if (!settled.has(`${policy} ${to.protocol} ${to.hostname}`)) await check(policy, to.protocol, to.hostname);
    const response = await send(agentFor(policy, init), {
      to,
      method,
      headers: headerList(init.headers),
      body,
      encoding,
      signal,
      fail: (error, phase) => egressError(error, phase, to.host, signal),
    });
    const { status } = response;
    if (init.redirect === 'error' && status >= 300 && status < 400 && response.headers.has('location')) {
      await response.body?.cancel();
      const text = `${to.host} answered with a redirect, which is refused.`;
      throw new EgressError('perhaps_sent', 'egress_refused', text);
    }
    return response;
  };

  const close = async () => {
    await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    agents.clear();
  };
  return Object.assign(egress, { close });
}
