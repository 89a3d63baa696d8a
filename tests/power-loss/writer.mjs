// The process whose disk is cut: `node writer.mjs <dist> <data dir> start | write | inspect`. It prints one line of JSON
// for each thing that it was told is safe, after it was told so.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';

const [dist = '', dataDir = '', role = ''] = process.argv.slice(2);
/** @param {string} file */
const built = (file) => import(pathToFileURL(join(dist, file)).href);
const { systemClock } = await built('clock.js');
const { loadConfig } = await built('config.js');
const { Secret } = await built('core/redact.js');
const { acquireOwnership } = await built('db/embedded/owner-lock.js');
const { startPlatform } = await built('main.js');
const { openStorage } = await built('storage.js');
const { Teardown } = await built('teardown.js');
const { builtInToolkits } = await built('toolkits/index.js');

const HOUR_MS = 3_600_000;
const nothing = () => {};
/** @type {Record<string, unknown>} */
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
const config = loadConfig({ transport: 'http', address: '127.0.0.1:0', data_dir: dataDir });
/** @type {Map<string, unknown>} */
const schemas = new Map(
  builtInToolkits({ version: '0' }).map((/** @type {any} */ kit) => [kit.kind, kit.configSchema]),
);
const host = 'idp.example';
const binding = {
  issuer: `https://${host}`,
  authorization_endpoint: `https://${host}/authorize`,
  token_endpoint: `https://${host}/token`,
  revocation_endpoint: null,
  client_id: 'client',
  token_endpoint_auth_method: 'client_secret_basic',
  resource: null,
  scope: 'read',
  client_source: 'config',
};

/** @param {Record<string, unknown>} line */
const say = (line) => void process.stdout.write(`${JSON.stringify(line)}\n`);
/** @param {string} name */
const fileDigest = (name) =>
  createHash('sha256')
    .update(readFileSync(join(dataDir, name)))
    .digest('hex');
const files = () =>
  Object.fromEntries(['secret.key', 'agent.key', 'replica-id'].map((name) => [name, fileDigest(name)]));

/** @param {string} name */
function tokens(name) {
  const now = systemClock.now();
  return {
    access_token: new Secret(`access-${name}`),
    token_type: 'Bearer',
    refresh_token: new Secret(`refresh-${name}`),
    expires_at: now + HOUR_MS,
    refresh_expires_at: null,
    scope: null,
    received_at: now,
  };
}

/** @param {string} event_type */
const event = (event_type) => ({ event_type, actor: 'system:background-refresh', idp_host: host, detail: {} });
const schedule = { at: systemClock.now() + HOUR_MS, reason: 'access_token_expiring' };

/** A whole first start, keys and portal included; then connections, one after the other. */
async function start() {
  const platform = await startPlatform(config, { log });
  say({ type: 'files', files: files() });
  for (let n = 0; ; n += 1) {
    const name = `declared-${n}`;
    const declared = { endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth' };
    await platform.flows.connections.declare({ kind: 'mcp', name }, { config: declared, description: '' });
    say({ type: 'connection', name });
  }
}

/** @param {any} stores @param {string} name */
async function connectNew(stores, name) {
  const key = { kind: 'mcp', name };
  const declared = { endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth' };
  const input = { key, description: '', config: declared, source: 'api', actor: 'ada', expected_revision: null };
  const saved = await stores.connections.save(input);
  if (!saved.saved) throw new Error(saved.reason);
  say({ type: 'connection', name });
  const { incarnation } = await stores.credentials.read(key);
  const consent_seq = await stores.consents.drawConsentSeq();
  const change = {
    type: 'connected',
    token_set: tokens(`${name}-0`),
    attempt_id: `${name}-0`,
    consent_seq,
    binding,
    client_secret: new Secret('client-secret'),
    refresh_token_fingerprint: 'print',
    authenticated_by: 'ada',
    schedule,
  };
  const fence = { by: 'consent', incarnation, consent_seq };
  const settled = await stores.credentials.settle({ key, fence, change, events: [event('connect_completed')] });
  if (!settled.applied) throw new Error('the connect did not land');
  say({ type: 'settled', name, attempt: 0, generation: String(settled.generation), consent_seq: String(consent_seq) });
  return { key, incarnation, generation: settled.generation };
}

/** @param {any} storage @param {any} at @param {string} attempt_id */
function escrowEntry(storage, { key, incarnation, generation }, attempt_id) {
  const now = systemClock.now();
  return {
    attempt_id,
    purpose: 'refresh',
    key,
    incarnation,
    parent_generation: generation,
    consent_seq: null,
    ...storage.self,
    reply: {
      type: 'answer',
      status: 200,
      media_type: 'application/json',
      retry_after: null,
      body: new Secret(JSON.stringify({ access_token: `access-${attempt_id}` })),
    },
    sent_at: now,
    received_at: now,
    actor: 'system:background-refresh',
    binding,
    origin_of_trust: 'https://mcp.example/mcp',
    client_secret: null,
    presented_refresh_token: null,
    ambiguous_before: false,
    before: { expires_at: null, refresh_expires_at: null, refresh_token_fingerprint: null },
    reason: 'access_token_expiring',
  };
}

/** @param {any} storage @param {any} at @param {number} n */
async function refreshOnce(storage, at, n) {
  const { stores, escrow } = storage;
  const { name } = at.key;
  const attempt_id = `${name}-${n}`;
  await escrow.write(escrowEntry(storage, at, attempt_id));
  say({ type: 'escrowed', attempt_id });
  const change = {
    type: 'refreshed',
    token_set: tokens(attempt_id),
    attempt_id,
    refresh_token: new Secret(`refresh-${attempt_id}`),
    refresh_token_fingerprint: 'print',
    schedule,
  };
  const fence = { by: 'generation', incarnation: at.incarnation, generation: at.generation };
  const settled = await stores.credentials.settle({ key: at.key, fence, change, events: [event('refresh_succeeded')] });
  if (!settled.applied) throw new Error('the refresh did not land');
  at.generation = settled.generation;
  say({ type: 'settled', name, attempt: n, generation: String(settled.generation) });
  if (n % 4 === 0) return;
  say({ type: 'clearing', attempt_id });
  await escrow.clear(attempt_id);
}

const open = () => openStorage(config, log, schemas, new Teardown(log), {});

const REFRESHES = 12;
/** Settles credentials in one connection after the other, with a checkpoint now and then. */
async function write() {
  const storage = await open();
  say({ type: 'opened' });
  const life = String(storage.self.boot_id);
  for (let c = 0; ; c += 1) {
    const at = await connectNew(storage.stores, `life-${life}-${c}`);
    for (let n = 1; n <= REFRESHES; n += 1) await refreshOnce(storage, at, n);
    if (c % 2 === 1) await sql`checkpoint`.execute(storage.opened.db);
  }
}

/** What is there, then one more settle to see whether a number comes back. Ends without closing, as by kill -9. */
async function inspect() {
  const storage = await open();
  const { stores, escrow, opened } = storage;
  const connections = await opened.db.selectFrom('connections').select('name').execute();
  const events = await opened.db.selectFrom('connection_auth_events').select(['connection_name', 'detail']).execute();
  const held = await escrow.list();
  /** @type {Record<string, string | null>} */
  const access = {};
  for (const { name } of connections) {
    const token = await stores.credentials.readAccessToken({ kind: 'mcp', name });
    access[name] = token?.access_token?.reveal() ?? null;
  }
  const fresh = await connectNew(stores, `inspected-${storage.self.boot_id}`);
  say({
    type: 'inspection',
    access,
    settled: events.map((/** @type {any} */ row) => `${row.connection_name}/${row.detail.generation}`),
    escrow: held.entries.map((/** @type {any} */ entry) => entry.attempt_id),
    unreadable: held.unreadable,
    fresh_generation: String(fresh.generation),
    files: Object.fromEntries(
      readdirSync(dataDir)
        .filter((name) => ['secret.key', 'agent.key', 'replica-id'].includes(name))
        .map((name) => [name, fileDigest(name)]),
    ),
    half_made: readdirSync(dataDir).filter((name) => name.startsWith('database.new-')),
  });
}

/** Opens as a server does, for what only a whole start makes. */
async function serve() {
  const platform = await startPlatform(config, { log });
  say({ type: 'served', files: files() });
  await platform.stop();
}

say({ type: 'begin' });
const ownership = await acquireOwnership(dataDir);
if (!ownership.owned) throw new Error('the data directory is owned by another process');
const roles = { start, write, inspect, serve };
await roles[/** @type {keyof typeof roles} */ (role)]();
process.stdout.write('', () => process.kill(process.pid, 'SIGKILL'));
