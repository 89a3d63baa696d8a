// The upstream of bench:gateway, in a process of its own: an MCP server of both eras that does next to nothing, so that
// what is measured is the gateway; beside it an authorization server whose tokens live for seconds. Under
// `/<era>/<tools>` it wants a token of its own, under `/open/<era>/<tools>` none; with `/sdk` before either, the official
// SDK's server answers. It says what it did when asked.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createSdkServer } from './sdk-server.mjs';

const [tokenSeconds = 20] = process.argv.slice(2).map(Number);
const MODERN = '2026-07-28';
const LEGACY = '2025-11-25';
const MIB = 'x'.repeat(1024 * 1024);
const SERVER_INFO = { name: 'bench', version: '1' };

let refreshed = 0;
let called = 0;
let refused = 0;
let listed = 0;
/** @type {Map<string, number>} access token → its end */
const tokens = new Map();
/** @type {Set<string>} */
const refreshTokens = new Set();

/** @param {number} count the first two answer small and with 1 MiB, the others are there to be listed */
function toolsOf(count) {
  const schema = {
    type: 'object',
    properties: { message: { type: 'string', description: 'What comes back' }, limit: { type: 'integer', minimum: 1 } },
    required: ['message'],
  };
  return Array.from({ length: Math.max(count, 2) }, (_none, index) => ({
    name: index === 0 ? 'echo' : index === 1 ? 'large' : `tool_${index}`,
    description: `Tool ${index} of an upstream that has ${count}: it is described at about the length that is usual.`,
    inputSchema: schema,
    annotations: { readOnlyHint: true },
  }));
}
/** @type {Map<string, ReturnType<typeof toolsOf>>} */
const lists = new Map();

/** @param {string} count */
function listOf(count) {
  listed += 1;
  const tools = lists.get(count) ?? toolsOf(Number(count));
  lists.set(count, tools);
  return tools;
}

/** @param {any} params of `tools/call` */
function resultOfCall(params) {
  called += 1;
  const text = params.name === 'large' ? MIB : `echo: ${params.arguments?.message}`;
  return { content: [{ type: 'text', text }] };
}

const sdk = createSdkServer({ tools: listOf, call: resultOfCall });

/** @param {string} era @param {string} count @param {{ method: string, params?: any }} message */
function resultOf(era, count, { method, params }) {
  const more = era === 'modern' ? { resultType: 'complete' } : {};
  switch (method) {
    case 'server/discover':
      if (era !== 'modern') return undefined;
      return { ...more, supportedVersions: [MODERN], capabilities: { tools: {} }, ttlMs: 0, cacheScope: 'private' };
    case 'initialize':
      return { protocolVersion: LEGACY, capabilities: { tools: {} }, serverInfo: SERVER_INFO };
    case 'tools/list':
      return { ...more, tools: listOf(count), ...(era === 'modern' ? { ttlMs: 0, cacheScope: 'private' } : {}) };
    case 'tools/call':
      return { ...more, ...resultOfCall(params) };
    case 'ping':
      return {};
    default:
      return undefined;
  }
}

/** @param {import('node:http').ServerResponse} response @param {number} status @param {unknown} [body] @param {Record<string, string>} [headers] */
function send(response, status, body, headers = {}) {
  if (body === undefined) return void response.writeHead(status, headers).end();
  const text = Buffer.from(JSON.stringify(body));
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': String(text.length), ...headers })
    .end(text);
}

/** @param {import('node:http').ServerResponse} response @param {string} era @param {string} count @param {string} text */
function answer(response, era, count, text) {
  const message = JSON.parse(text);
  if (message.id === undefined) return send(response, 202);
  const result = resultOf(era, count, message);
  const base = { jsonrpc: '2.0', id: message.id };
  if (!result) return send(response, 404, { ...base, error: { code: -32601, message: 'Method not found' } });
  send(
    response,
    200,
    { ...base, result },
    message.method === 'initialize' ? { 'mcp-session-id': randomUUID() } : undefined,
  );
}

/** @param {import('node:http').ServerResponse} response */
function grant(response) {
  const access_token = randomUUID();
  const refresh_token = randomUUID();
  tokens.set(access_token, Date.now() + tokenSeconds * 1000);
  refreshTokens.add(refresh_token);
  send(response, 200, { access_token, refresh_token, token_type: 'Bearer', expires_in: tokenSeconds });
}

/** @param {import('node:http').ServerResponse} response @param {string} text */
function token(response, text) {
  const form = new URLSearchParams(text);
  if (form.get('grant_type') === 'authorization_code') return grant(response);
  if (!refreshTokens.delete(form.get('refresh_token') ?? '')) return send(response, 400, { error: 'invalid_grant' });
  refreshed += 1;
  grant(response);
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://upstream.invalid');
  if (url.pathname === '/authorize') {
    const back = new URL(url.searchParams.get('redirect_uri') ?? '');
    back.searchParams.set('code', randomUUID());
    back.searchParams.set('state', url.searchParams.get('state') ?? '');
    return void response.writeHead(302, { location: back.href }).end();
  }
  const [, bySdk, open, era = '', count = ''] = /^(\/sdk)?(\/open)?\/(modern|legacy)\/(\d+)$/.exec(url.pathname) ?? [];
  const bearer = (request.headers.authorization ?? '').replace(/^Bearer /, '');
  if (era !== '' && open === undefined && (tokens.get(bearer) ?? 0) < Date.now()) {
    refused += 1;
    request.resume();
    return send(response, 401, undefined, { 'www-authenticate': 'Bearer error="invalid_token"' });
  }
  if (bySdk !== undefined) return void sdk(request, response);
  if (era !== '' && request.method !== 'POST') return send(response, request.method === 'DELETE' ? 200 : 405);
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString('utf8');
    if (url.pathname === '/token') return token(response, text);
    if (era === '') return send(response, 404);
    answer(response, era, count, text);
  });
});
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  process.send?.(`http://127.0.0.1:${port}`);
});
process.on('message', () => process.send?.({ refreshed, called, refused, listed }));
process.on('disconnect', () => process.exit(0));
