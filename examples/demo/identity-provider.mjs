#!/usr/bin/env node
// A real OpenID Connect provider for the demo and the tests, with lifetimes short enough to watch.
//
//   node identity-provider.mjs --data-dir DIR [--port N]
//
// It has no back door: a person, or the demo on a person's behalf, fills in the forms under /interaction.
import { createHash, generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { exportJWK } from 'jose';
import { consentPage, errorPage, loginPage, sendPage } from './pages.mjs';
import {
  announceReady,
  endWithParent,
  listenOnLoopback,
  onOff,
  readFlags,
  readJson,
  seconds,
  writeJson,
} from './process.mjs';
import { createFileStore } from './store.mjs';

const TEN_YEARS = 10 * 365 * 24 * 3600;
const SCOPE = 'mcp';

const flags = readFlags({
  // 0: the port of the last start on this folder, else --preferred-port, else a free one.
  port: '0',
  'preferred-port': '0',
  'data-dir': '.identity-provider',
  'access-ttl': '60',
  // A refresh token that nobody has used for this long is dead. Every rotation starts the time anew.
  'refresh-idle-ttl': '150',
  // off: a refresh token may be used again and again, and ends at --refresh-idle-ttl after the sign-in.
  rotation: 'on',
  // Adds refresh_expires_in (as Keycloak does) to token responses.
  'disclose-refresh-expiry': 'on',
  username: 'demo',
  password: 'demo',
});
const accessTtl = seconds('access-ttl', flags['access-ttl']);
const refreshIdleTtl = seconds('refresh-idle-ttl', flags['refresh-idle-ttl']);
const rotation = onOff('rotation', flags.rotation);
const discloses = onOff('disclose-refresh-expiry', flags['disclose-refresh-expiry']);
const dataDir = flags['data-dir'];

// The library's notices about itself (the Node version that it would like, its defaults) help nobody who runs a demo,
// and stdout is for the ready line alone.
console.info = () => {};
console.warn = () => {};
endWithParent();

const { default: Provider, errors } = await import('oidc-provider');
const server = createServer();
const port = await listenOnLoopback(server, { port: flags.port, preferred: flags['preferred-port'], dataDir });
const issuer = `http://127.0.0.1:${port}`;
const provider = await createProvider();
const library = provider.callback();

server.on('request', (req, res) => {
  const path = new URL(req.url ?? '/', issuer).pathname;
  // The library builds its endpoints from the Host header; under `localhost` they would not be the issuer's.
  req.headers.host = new URL(issuer).host;
  if (path === '/health') {
    res.writeHead(200, { 'content-type': 'application/json' }).end('{"status":"ok"}');
  } else if (path.startsWith('/interaction/')) {
    interaction(req, res, path).catch((error) => {
      const known = error instanceof errors.OIDCProviderError;
      if (!known) console.error(error);
      sendPage(
        res,
        known ? 400 : 500,
        'Sign-in stopped',
        errorPage(
          'Sign-in stopped',
          'This sign-in has expired or was already finished. Go back to the application and start it again.',
        ),
      );
    });
  } else {
    library(req, res);
  }
});
announceReady({ issuer });

/** Keys are made at the first start and kept: a restart must not orphan cookies, ID tokens or access tokens. */
async function loadKeys() {
  const file = join(dataDir, 'keys.json');
  const kept = readJson(file);
  if (kept !== undefined) return kept;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...(await exportJWK(privateKey)), kid: randomBytes(8).toString('hex'), alg: 'RS256', use: 'sig' };
  const fresh = { jwks: { keys: [jwk] }, cookies: [randomBytes(32).toString('base64url')] };
  writeJson(file, fresh);
  return fresh;
}

async function createProvider() {
  const keys = await loadKeys();
  const made = new Provider(issuer, {
    adapter: createFileStore(join(dataDir, 'state.json')),
    jwks: keys.jwks,
    cookies: { keys: keys.cookies },
    scopes: ['openid', 'profile', 'email', 'offline_access', SCOPE],
    claims: { profile: ['name'], email: ['email', 'email_verified'] },
    findAccount: async (_ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, name: id, email: `${id}@example.test`, email_verified: true }),
    }),
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    responseTypes: ['code'],
    pkce: { required: () => true },
    rotateRefreshToken: rotation,
    issueRefreshToken: async (_ctx, client, source) =>
      client.grantTypeAllowed('refresh_token') && source.scopes.has('offline_access'),
    // The idle time of a refresh token is the only end of a connection: a shorter life of the grant behind it would
    // end the family whatever the rotation. The library's own caps (14 days, and one year of rotation) are replaced.
    ttl: {
      AccessToken: accessTtl,
      AuthorizationCode: 60,
      IdToken: accessTtl,
      Interaction: 600,
      RefreshToken: refreshIdleTtl,
      Session: 14 * 24 * 3600,
      Grant: TEN_YEARS,
    },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      registration: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (_ctx, _client, oneOf) => oneOf?.[0],
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_ctx, resource) => resourceServer(resource),
      },
    },
    renderError: async (ctx, out) => {
      ctx.respond = false;
      sendPage(
        ctx.res,
        ctx.status,
        'Request refused',
        errorPage('Request refused', out.error_description ?? out.error),
      );
    },
  });
  if (discloses) made.use(discloseRefreshExpiry);
  return made;
}

/**
 * Any server on this machine's loopback is a resource of the demo. Access tokens are JWTs rather than opaque ones,
 * so that the resource server can check one with the public keys alone: introspection would need a client secret
 * of its own and a request per call. The price, a revoked token living on until it expires, is `--access-ttl` at most.
 *
 * @param {string} resource
 */
function resourceServer(resource) {
  const { protocol, hostname } = new URL(resource);
  if (protocol !== 'http:' || hostname !== '127.0.0.1') throw new errors.InvalidTarget();
  return {
    scope: SCOPE,
    audience: resource,
    accessTokenTTL: accessTtl,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: 'RS256' } },
  };
}

/** @param {import('oidc-provider').KoaContextWithOIDC} ctx @param {() => Promise<void>} next */
async function discloseRefreshExpiry(ctx, next) {
  await next();
  const body = /** @type {any} */ (ctx.body);
  if (ctx.oidc?.route === 'token' && body?.refresh_token)
    body.refresh_expires_in = ctx.oidc.entities.RefreshToken?.remainingTTL;
}

/** @param {import('node:http').IncomingMessage} req @param {import('node:http').ServerResponse} res @param {string} path */
async function interaction(req, res, path) {
  const details = await provider.interactionDetails(req, res);
  if (path !== `/interaction/${details.uid}`) throw new errors.InvalidRequest('another interaction is under way');
  if (req.method === 'GET') return await showForm(res, details);
  if (req.method !== 'POST') return void res.writeHead(405, { allow: 'GET, POST' }).end();
  const form = await readForm(req);
  if (details.prompt.name === 'login') return await login(req, res, details, form);
  if (form.get('decision') !== 'allow') {
    return await provider.interactionFinished(req, res, {
      error: 'access_denied',
      error_description: 'the person said no',
    });
  }
  const grantId = await grantAll(details);
  await provider.interactionFinished(req, res, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

/** @typedef {Awaited<ReturnType<typeof provider.interactionDetails>>} Details */

/** @param {import('node:http').ServerResponse} res @param {Details} details @param {{ username?: string, refused?: boolean }} [again] */
async function showForm(res, details, again = {}) {
  const { prompt, params, uid } = details;
  const action = `/interaction/${uid}`;
  const known = await provider.Client.find(String(params.client_id));
  const client = known?.clientName ?? String(params.client_id);
  if (prompt.name === 'login') {
    return sendPage(res, 200, 'Sign in', loginPage({ action, client, ...again }));
  }
  const content = consentPage({
    action,
    client,
    account: details.session?.accountId ?? '',
    destination: new URL(String(params.redirect_uri)).origin,
    scopes: String(params.scope ?? '')
      .split(' ')
      .filter(Boolean),
    resources: [params.resource ?? []].flat().map(String),
  });
  sendPage(res, 200, 'Allow access', content);
}

/** @param {import('node:http').IncomingMessage} req @param {import('node:http').ServerResponse} res @param {Details} details @param {URLSearchParams} form */
async function login(req, res, details, form) {
  const username = form.get('username') ?? '';
  const right = sameText(username, flags.username) && sameText(form.get('password') ?? '', flags.password);
  if (!right) return await showForm(res, details, { username, refused: true });
  await provider.interactionFinished(req, res, { login: { accountId: username } });
}

/** One consent makes one grant, so that ending one connection never ends another that the same person made. @param {Details} details */
async function grantAll({ session, params }) {
  const grant = new provider.Grant({ accountId: session?.accountId, clientId: String(params.client_id) });
  const scope = String(params.scope ?? '');
  if (scope !== '') grant.addOIDCScope(scope);
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(String(resource), scope);
  return await grant.save();
}

/** @param {string} given @param {string} expected */
function sameText(given, expected) {
  const digest = (/** @type {string} */ text) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

/** @param {import('node:http').IncomingMessage} req */
async function readForm(req) {
  let text = '';
  for await (const chunk of req.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 10_000) throw new errors.InvalidRequest('form too large');
  }
  return new URLSearchParams(text);
}
