import type { ConnectionConfig } from '../core/connection.ts';
import type { Clock, Fetch } from '../core/ports.ts';
import type { BearerChallenge } from './challenge.ts';
import { readBearerChallenge } from './challenge.ts';
import type { Fields, RemoteDocument } from './remote-document.ts';
import {
  DISCOVERY_TIMEOUT_MS,
  discoveryFailed,
  failureOf,
  fetchDocument,
  textOf,
  textsOf,
  urlOf,
} from './remote-document.ts';

type Tools = { fetch: Fetch; clock: Clock };

/** What the upstream says of who guards it. */
export type ProtectedResource = {
  resource: string | null;
  authorization_server: string | null;
  resource_scopes_supported: string[] | null;
  challenge_scope: string | null;
};

/** A first message as every MCP client sends it: without a token a guarded server answers 401 before reading it. */
const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: {
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'mcp-data-platform', version: '0' },
  },
});

/** Asks the upstream without a token. What it answers beside its challenge does not matter. */
async function challengeOf(
  { fetch, clock }: Tools,
  config: ConnectionConfig,
  endpoint: string,
): Promise<BearerChallenge> {
  const mcp = config.endpoint !== undefined;
  try {
    const response = await fetch(endpoint, {
      method: mcp ? 'POST' : 'GET',
      headers: {
        ...config.static_headers,
        accept: 'application/json, text/event-stream',
        ...(mcp ? { 'content-type': 'application/json' } : {}),
      },
      ...(mcp ? { body: INITIALIZE } : {}),
      signal: clock.timeout(DISCOVERY_TIMEOUT_MS),
      trust: { url: 'typed' },
    });
    await response.body?.cancel();
    return readBearerChallenge(response.headers.get('www-authenticate'));
  } catch (error) {
    const advice = 'Check the URL of the connection, or set oauth2_issuer.';
    throw discoveryFailed(
      `The upstream could not be asked for its authorization server. ${failureOf(error)}`,
      advice,
      error,
    );
  }
}

/** The well-known places at the upstream's own origin: with its path, then without. */
export function resourceMetadataUrls(endpoint: string): string[] {
  const { origin, pathname, search } = new URL(endpoint);
  const base = `${origin}/.well-known/oauth-protected-resource`;
  const path = pathname === '/' ? '' : pathname;
  return path === '' && search === '' ? [base] : [`${base}${path}${search}`, base];
}

/**
 * Whether metadata about `resource` speaks of `endpoint`: same origin, and its path a whole-segment prefix.
 * @see https://www.rfc-editor.org/rfc/rfc9728#section-3.3
 */
export function resourceCovers(resource: string, endpoint: string): boolean {
  const outer = new URL(resource);
  const inner = new URL(endpoint);
  const slashed = (path: string) => (path.endsWith('/') ? path : `${path}/`);
  return outer.origin === inner.origin && slashed(inner.pathname).startsWith(slashed(outer.pathname));
}

async function findDocument(tools: Tools, endpoint: string, challenge: BearerChallenge): Promise<RemoteDocument> {
  let first: RemoteDocument | undefined;
  const told = urlOf(challenge.resource_metadata);
  if (told !== null) {
    const document = await fetchDocument(tools, told, { url: 'discovered', origin_of_trust: endpoint });
    if (document.found) return document;
    first = document;
  }
  // Their origin was typed, and so were they, in effect.
  for (const url of resourceMetadataUrls(endpoint)) {
    const document = await fetchDocument(tools, url, { url: 'typed' });
    if (document.found) return document;
    first ??= document;
  }
  return first ?? { found: false, url: endpoint, absent: true, why: 'It has none.' };
}

function readResource(url: string, fields: Fields, endpoint: string): Omit<ProtectedResource, 'challenge_scope'> {
  const { host } = new URL(url);
  const resource = urlOf(fields.resource);
  if (resource === null || !resourceCovers(resource, endpoint)) {
    throw discoveryFailed(
      `The resource metadata at ${host} does not speak of this connection's URL, so its authorization server cannot be trusted with it.`,
    );
  }
  return {
    resource: textOf(fields.resource),
    authorization_server: textsOf(fields.authorization_servers)?.[0] ?? null,
    resource_scopes_supported: textsOf(fields.scopes_supported),
  };
}

/**
 * @throws AppError `discovery_failed` when the upstream cannot be reached, or its metadata speaks of another resource.
 * @see https://www.rfc-editor.org/rfc/rfc9728#section-5
 */
export async function discoverResource(
  tools: Tools,
  config: ConnectionConfig,
  endpoint: string,
): Promise<ProtectedResource & { problem: string | null }> {
  const challenge = await challengeOf(tools, config, endpoint);
  const document = await findDocument(tools, endpoint, challenge);
  if (document.found) {
    const resource = readResource(document.url, document.fields, endpoint);
    return { ...resource, challenge_scope: challenge.scope, problem: null };
  }
  const problem = `Resource metadata at ${new URL(document.url).host}: ${document.why}`;
  return {
    resource: null,
    authorization_server: null,
    resource_scopes_supported: null,
    challenge_scope: challenge.scope,
    problem,
  };
}
