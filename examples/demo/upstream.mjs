#!/usr/bin/env node
// A protected MCP server: server-everything from npm behind a resource server that checks access tokens.
//
//   node upstream.mjs --issuer http://127.0.0.1:9400 [--port N] [--data-dir DIR]
//
// @see https://www.rfc-editor.org/rfc/rfc9728 (metadata), https://www.rfc-editor.org/rfc/rfc6750 (challenge)
import { spawn } from 'node:child_process';
import { createServer, request as httpRequest } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import { announceReady, endWithParent, fail, listenOnLoopback, readFlags } from './process.mjs';

const SCOPE = 'mcp';
const METADATA = '/.well-known/oauth-protected-resource';
// Connection-level headers (RFC 9110 §7.6.1), and what belongs to this server's door and not to what is behind it.
const NOT_FORWARDED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'host',
  'authorization',
  'cookie',
  'origin',
  'set-cookie',
]);

const flags = readFlags({ port: '0', 'preferred-port': '0', 'data-dir': '.upstream', issuer: '' });
if (!URL.canParse(flags.issuer)) fail('--issuer wants the URL of the identity provider');
const issuer = flags.issuer;
endWithParent();

const behind = await startServerEverything();
const server = createServer();
const port = await listenOnLoopback(server, {
  port: flags.port,
  preferred: flags['preferred-port'],
  dataDir: flags['data-dir'],
});
const origin = `http://127.0.0.1:${port}`;
const resource = `${origin}/mcp`;
const metadataUrl = `${origin}${METADATA}/mcp`;
/** @type {ReturnType<typeof createRemoteJWKSet> | undefined} */
let keys;

server.on('request', (req, res) => {
  const path = new URL(req.url ?? '/', origin).pathname;
  if (path === '/health') return sendJson(res, 200, { status: 'ok' });
  if (path === METADATA || path === `${METADATA}/mcp`) return sendJson(res, 200, metadata());
  if (path !== '/mcp') return sendJson(res, 404, { error: 'not_found' });
  checkToken(req.headers.authorization)
    .then((verdict) => (verdict === 'ok' ? forward(req, res) : refuse(res, verdict)))
    .catch((error) => {
      console.error(error);
      if (!res.headersSent) sendJson(res, 500, { error: 'server_error' });
    });
});
announceReady({ resource });

/**
 * server-everything can neither listen on loopback only nor on a port that the system picks and it reports, it
 * answers CORS with `*`, and its get-env tool shows its environment to the caller. `confine.mjs` is loaded into it
 * to fix the first two and to end it with this process; it gets next to no environment; its CORS headers stay here.
 *
 * @returns {Promise<number>} its port
 */
function startServerEverything() {
  const require = createRequire(import.meta.url);
  const main = join(dirname(require.resolve('@modelcontextprotocol/server-everything/package.json')), 'dist/index.js');
  const child = spawn(
    process.execPath,
    ['--import', new URL('./confine.mjs', import.meta.url).href, main, 'streamableHttp'],
    {
      cwd: fileURLToPath(new URL('.', import.meta.url)),
      env: { PORT: '0' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  );
  child.on('exit', (code) => fail(`server-everything ended (${code})`));
  return new Promise((resolve) => child.once('message', (message) => resolve(Number(message))));
}

function metadata() {
  return {
    resource,
    authorization_servers: [issuer],
    scopes_supported: [SCOPE],
    bearer_methods_supported: ['header'],
    resource_name: 'Demo MCP server',
  };
}

/** @typedef {'ok' | 'missing' | 'invalid' | 'insufficient' | 'unavailable'} Verdict */

/** @param {string | undefined} header @returns {Promise<Verdict>} */
async function checkToken(header) {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (token === undefined) return 'missing';
  try {
    keys ??= await findKeys();
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: resource,
      typ: 'at+jwt',
      algorithms: ['RS256'],
      requiredClaims: ['exp', 'sub'],
    });
    return String(payload.scope ?? '')
      .split(' ')
      .includes(SCOPE)
      ? 'ok'
      : 'insufficient';
  } catch (error) {
    // A provider that is away says nothing about the token: answering 401 would send the caller to sign in again.
    const verdict =
      error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout) && error.code !== 'ERR_JOSE_GENERIC';
    return verdict ? 'invalid' : 'unavailable';
  }
}

async function findKeys() {
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`);
  if (!answer.ok) throw new Error(`discovery answered ${answer.status}`);
  const { jwks_uri: location } = /** @type {{ jwks_uri: string }} */ (await answer.json());
  return createRemoteJWKSet(new URL(location));
}

/** @param {import('node:http').ServerResponse} res @param {Exclude<Verdict, 'ok'>} verdict */
function refuse(res, verdict) {
  if (verdict === 'unavailable') {
    return sendJson(res, 503, { error: 'temporarily_unavailable' }, { 'retry-after': '2' });
  }
  const error = { missing: '', invalid: 'error="invalid_token", ', insufficient: 'error="insufficient_scope", ' }[
    verdict
  ];
  const challenge = `Bearer ${error}resource_metadata="${metadataUrl}", scope="${SCOPE}"`;
  const code = { missing: 'unauthorized', invalid: 'invalid_token', insufficient: 'insufficient_scope' }[verdict];
  sendJson(res, verdict === 'insufficient' ? 403 : 401, { error: code }, { 'www-authenticate': challenge });
}

/** Streams both ways without a buffer of its own. @param {import('node:http').IncomingMessage} req @param {import('node:http').ServerResponse} res */
function forward(req, res) {
  const ahead = httpRequest({
    host: '127.0.0.1',
    port: behind,
    path: req.url,
    method: req.method,
    headers: { ...forwardable(req.headers), host: `127.0.0.1:${behind}` },
  });
  ahead.on('response', (answer) => {
    res.writeHead(answer.statusCode ?? 502, forwardable(answer.headers));
    res.flushHeaders();
    answer.pipe(res);
    answer.on('error', () => res.destroy());
  });
  ahead.on('error', () => (res.headersSent ? res.destroy() : sendJson(res, 502, { error: 'bad_gateway' })));
  res.on('close', () => ahead.destroy());
  req.pipe(ahead);
}

/** @param {import('node:http').IncomingHttpHeaders} headers */
function forwardable(headers) {
  const kept = Object.entries(headers).filter(
    ([name]) => !NOT_FORWARDED.has(name) && !name.startsWith('access-control-'),
  );
  return Object.fromEntries(kept);
}

/** @param {import('node:http').ServerResponse} res @param {number} status @param {unknown} body @param {Record<string, string>} [headers] */
function sendJson(res, status, body, headers = {}) {
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers });
  res.end(JSON.stringify(body));
}
