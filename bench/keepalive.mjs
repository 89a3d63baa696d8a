// npm run bench:keepalive [-- options]: thousands of connections due at one moment, and what becomes of them; then what a
// look costs that finds little. Ends with 1 when a token was presented twice, a host was asked by more at once than
// `per_host` allows, or a connection was not refreshed. Linux only: each issuer is an address of 127.0.0.0/8.
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, fail, requireNode } from '../scripts/prepare.mjs';

const PER_HOST = 8;
const QUIET_MS = 30_000;
const LOOK_MS = 250;

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '10000' },
    issuers: { type: 'string', default: '50' },
    latency: { type: 'string', default: '100' },
    /** Which runs: engine and number of replicas. */
    runs: { type: 'string', default: 'postgresql:1,postgresql:3,embedded:1' },
    'in-flight': { type: 'string' },
    ticks: { type: 'string', default: '1000,10000,100000' },
    'tick-engines': { type: 'string', default: 'postgresql' },
    /** Options of Node for each replica, such as --cpu-prof. */
    node: { type: 'string', default: '' },
  },
});

/** @param {string} file @param {string[]} [args] @param {NodeJS.ProcessEnv} [env] @param {string[]} [execArgv] */
function start(file, args = [], env = process.env, execArgv = []) {
  return fork(fileURLToPath(new URL(`./keepalive/${file}`, import.meta.url)), args, { env, execArgv });
}

/** @param {import('node:child_process').ChildProcess} child @returns {Promise<any>} */
function said(child) {
  return new Promise((resolve, reject) => {
    const onExit = (/** @type {number | null} */ code) =>
      reject(new Error(`a process of the bench ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}

/** @param {import('node:child_process').ChildProcess} child */
function ask(child) {
  const answer = said(child);
  child.send('report');
  return answer;
}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {import('node:child_process').ChildProcess} provider @param {number} wanted */
async function untilDone(provider, wanted) {
  for (let quietSince = Date.now(), before = -1; ; ) {
    await sleep(LOOK_MS);
    const report = await ask(provider);
    if (report.refreshed >= wanted) return report;
    if (report.presented !== before) quietSince = Date.now();
    else if (Date.now() - quietSince > QUIET_MS) return report;
    before = report.presented;
  }
}

/** @param {string} folder */
function replicaConfig(folder) {
  const file = join(folder, 'config.yaml');
  // YAML is a superset of JSON.
  const inFlight = options['in-flight'] === undefined ? {} : { in_flight: Number(options['in-flight']) };
  writeFileSync(file, JSON.stringify({ per_host: PER_HOST, ...inFlight }));
  return file;
}

/** @param {string} engine @param {number} replicas @param {string | undefined} databaseUrl */
async function run(engine, replicas, databaseUrl) {
  const { openStores, seed, dueAt } = await import('./keepalive/seed.mjs');
  const { databaseCpu } = await import('./keepalive/database-cpu.mjs');
  const connections = Number(options.connections);
  const folder = mkdtempSync(join(tmpdir(), 'mcp-data-platform-bench-'));
  const provider = start('provider.mjs', [options.issuers, options.latency]);
  /** @type {import('node:child_process').ChildProcess[]} */
  const children = [provider];
  try {
    const origins = await said(provider);
    const encryptionKey = randomBytes(32).toString('hex');
    const dataDirs = Array.from({ length: replicas }, (_, index) => join(folder, `replica-${index}`));
    for (const dataDir of dataDirs) mkdirSync(dataDir);
    const opened = await openStores({ databaseUrl, dataDir: dataDirs[0] ?? folder, encryptionKey });
    await seed(opened, origins, 0, connections, () => Date.now() + 86_400_000);
    // Late enough for every replica to have started: they wait for this moment.
    const due = Date.now() + 8_000 + replicas * (3_000 + connections / 2);
    await dueAt(opened, due);
    await opened.opened.close();
    const execArgv = options.node.split(' ').filter(Boolean);
    const started = dataDirs.map(async (dataDir) => {
      const env = {
        PATH: process.env.PATH,
        HOME: folder,
        MCP_DATA_PLATFORM_DATA_DIR: dataDir,
        ENCRYPTION_KEY: encryptionKey,
        ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
      };
      const child = start('replica.mjs', [replicaConfig(folder)], env, execArgv);
      children.push(child);
      return { child, ...(await said(child)) };
    });
    const serving = await Promise.all(started);
    const database = databaseUrl === undefined ? () => 0 : await databaseCpu(databaseUrl);
    await sleep(Math.max(0, due - Date.now() - LOOK_MS));
    for (const { child } of serving) child.send('begin');
    const databaseBefore = database();
    if (Date.now() > due) console.error('The replicas started late: part of their start is measured, too.');
    const report = await untilDone(provider, connections);
    await sleep(LOOK_MS);
    const databaseUsed = database() - databaseBefore;
    const ends = await Promise.all(
      serving.map(async ({ child }) => {
        const ended = new Promise((resolve) => child.once('exit', resolve));
        const usage = await ask(child);
        await ended;
        return usage;
      }),
    );
    /** Of the processor, per refresh. @param {number} ms */
    const each = (ms) => (ms / Math.max(1, report.refreshed)).toFixed(2);
    const seconds = (report.last - report.first) / 1_000;
    return {
      engine,
      replicas,
      refreshed: report.refreshed,
      seconds: Number(seconds.toFixed(1)),
      'refreshes/s': Math.round(report.refreshed / seconds),
      'presented twice': report.twice,
      'most at one host': report.mostAtOnce,
      'peak RSS MB': ends.map(({ peak_mb }) => peak_mb).join(' '),
      'replica ms': ends.map(({ cpu }) => each((cpu.user + cpu.system) / 1_000)).join(' '),
      'database ms': each(databaseUsed),
      'provider ms': each(report.cpu_ms),
      load: loadavg()[0]?.toFixed(1),
      failed: report.refreshed < connections || report.twice > 0 || report.mostAtOnce > PER_HOST * replicas,
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} engine @param {number[]} sizes @param {string | undefined} databaseUrl */
async function ticks(engine, sizes, databaseUrl) {
  const { openStores, seed } = await import('./keepalive/seed.mjs');
  const { measureTick } = await import('./keepalive/tick.mjs');
  const dataDir = mkdtempSync(join(tmpdir(), 'mcp-data-platform-bench-'));
  const rows = [];
  try {
    const opened = await openStores({ databaseUrl, dataDir, encryptionKey: randomBytes(32).toString('hex') });
    let seeded = 0;
    for (const size of sizes) {
      await seed(opened, ['http://127.0.0.1:9', 'http://127.0.0.2:9'], seeded, size, () => Date.now() + 86_400_000);
      seeded = size;
      for (const due of new Set([0, 10, size / 100])) {
        rows.push({ engine, connections: size, ...(await measureTick(opened, due)), load: loadavg()[0]?.toFixed(1) });
      }
    }
    await opened.opened.close();
    return rows;
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

requireNode();
if (process.platform !== 'linux') fail('bench:keepalive needs the addresses 127.0.0.1 to 127.0.0.50, and so Linux.');
ensureInstalled();
ensureInstalled('tests/tools');
ensureBuilt();
const { startDurablePostgres, createDatabase } = await import('../tests/tools/postgres.mjs');
const wanted = options.runs.split(',').filter(Boolean);
const sizes = options.ticks.split(',').filter(Boolean).map(Number);
const postgres = await startDurablePostgres();
let failed = false;
/** @param {string} engine @param {(url: string | undefined) => Promise<void>} work */
async function on(engine, work) {
  if (engine === 'embedded') return work(undefined);
  const { url, drop } = await createDatabase(postgres.url);
  await work(url).finally(drop);
}
try {
  for (const one of wanted) {
    const [engine = '', replicas = '1'] = one.split(':');
    await on(engine, async (url) => {
      const { failed: bad, ...row } = await run(engine, Number(replicas), url);
      failed ||= bad;
      console.table([row]);
    });
  }
  for (const engine of sizes.length === 0 ? [] : options['tick-engines'].split(','))
    await on(engine, async (url) => console.table(await ticks(engine, sizes, url)));
} finally {
  await postgres.stop();
}
if (failed) fail('A token was presented twice, a host was asked by too many at once, or a connection was left out.');
