// What the demo's programs have in common: flags, a port that survives restarts, an end that comes with the parent's.
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';

/**
 * Reads flags `--like-this VALUE`; each may also come from the environment as DEMO_LIKE_THIS.
 *
 * @param {Record<string, string>} defaults flag name (kebab-case) to its default
 * @returns {Record<string, string>}
 */
export function readFlags(defaults) {
  /** @type {Record<string, { type: 'string' }>} */
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: 'string' }]));
  const { values } = parseArgs({ options, strict: true });
  const fromEnv = (/** @type {string} */ name) => process.env[`DEMO_${name.toUpperCase().replaceAll('-', '_')}`];
  return Object.fromEntries(
    Object.entries(defaults).map(([name, fallback]) => [name, String(values[name] ?? fromEnv(name) ?? fallback)]),
  );
}

/** @param {string} name @param {string} text @returns {number} whole seconds, at least one */
export function seconds(name, text) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) fail(`--${name} wants a whole number of seconds, not "${text}"`);
  return value;
}

/** @param {string} name @param {string} text @returns {boolean} */
export function onOff(name, text) {
  if (text !== 'on' && text !== 'off') fail(`--${name} is on or off, not "${text}"`);
  return text === 'on';
}

/** @param {string} message @returns {never} */
export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** @param {string} file @returns {any} undefined when there is no such file */
export function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Replaces a file so that a crash or a power cut leaves the old content or the new one, never a mixture.
 *
 * @param {string} file
 * @param {unknown} value
 */
export function writeJson(file, value) {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.new`;
  const fd = openSync(fresh, 'w', 0o600);
  try {
    writeSync(fd, `${JSON.stringify(value)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(fresh, file);
  const folder = openSync(dirname(file), 'r');
  try {
    fsyncSync(folder);
  } catch {
    // Windows cannot fsync a folder; the rename is atomic there all the same.
  } finally {
    closeSync(folder);
  }
}

/**
 * Listens on loopback. A port given as such is used or the start fails. With port 0 the port of the last start is
 * used again, since an issuer or a resource URL that moves would orphan every token; at the first start that is
 * `preferred`, or any free one when `preferred` is taken.
 *
 * @param {import('node:http').Server} server
 * @param {{ port: string, preferred: string, dataDir: string }} options
 * @returns {Promise<number>}
 */
export async function listenOnLoopback(server, { port, preferred, dataDir }) {
  const file = join(dataDir, 'port.json');
  if (port !== '0') return await tryListen(server, Number(port), `port ${port} is taken; give another --port`);
  const last = readJson(file)?.port;
  if (last !== undefined) {
    return await tryListen(
      server,
      last,
      `port ${last}, to which ${dataDir} is bound, is taken; free it or use another folder`,
    );
  }
  const chosen = await tryListen(server, Number(preferred)).catch(() => tryListen(server, 0));
  writeJson(file, { port: chosen });
  return chosen;
}

/**
 * @param {import('node:http').Server} server
 * @param {number} port
 * @param {string} [whenTaken] ends the process with this sentence; without it the promise rejects
 * @returns {Promise<number>}
 */
async function tryListen(server, port, whenTaken) {
  try {
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve(undefined);
      });
    });
  } catch (error) {
    if (whenTaken === undefined) throw error;
    const taken = /** @type {NodeJS.ErrnoException} */ (error).code === 'EADDRINUSE';
    fail(taken ? whenTaken : `cannot listen on port ${port}: ${/** @type {Error} */ (error).message}`);
  }
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}

/**
 * Ends this process with its parent, even one that was killed: the operating system closes the IPC channel then.
 * A program that somebody started by hand has no channel and runs until it is interrupted.
 */
export function endWithParent() {
  process.on('disconnect', () => process.exit(0));
  // false, and not undefined: there was a channel, and it closed while this program was still loading.
  if (process.connected === false) process.exit(0);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
}

/** @param {Record<string, unknown>} facts */
export function announceReady(facts) {
  process.stdout.write(`${JSON.stringify({ ready: true, ...facts })}\n`);
}
