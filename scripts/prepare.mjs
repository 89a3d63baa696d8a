// What `npm start` and `npm test` do before their own work, each from a fresh clone: install and build when needed.
// Only Node's own modules may be imported here: nothing is installed yet.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MINIMUM = { major: 20, minor: 19 };

/** What a build is made from: when none of it changed, there is nothing to build. */
const BUILD_INPUTS = [
  'src',
  'portal',
  'scripts/build-image.mjs',
  'package-lock.json',
  'tsconfig.json',
  'tsconfig.build.json',
];
const STAMP = join(ROOT, 'dist', '.inputs');

/** @param {string} message @returns {never} */
export function fail(message) {
  console.error(message);
  process.exit(1);
}

export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > MINIMUM.major || (major === MINIMUM.major && minor >= MINIMUM.minor)) return;
  fail(`Node ${MINIMUM.major}.${MINIMUM.minor} or newer is needed; this is ${process.versions.node}.`);
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export function run(command, args, { cwd = ROOT, env = process.env } = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd,
    env,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (status !== 0) fail(`${command} ${args.join(' ')} failed in ${cwd}${error ? `: ${error.message}` : ''}.`);
}

/** @param {string} path @param {ReturnType<typeof createHash>} hash */
function addFile(path, hash) {
  hash.update(relative(ROOT, path)).update('\0').update(readFileSync(path)).update('\0');
}

/** @param {string} path @param {ReturnType<typeof createHash>} hash */
function addTree(path, hash) {
  if (!existsSync(path)) return;
  if (statSync(path).isFile()) return addFile(path, hash);
  for (const entry of readdirSync(path).sort()) {
    if (entry !== 'node_modules') addTree(join(path, entry), hash);
  }
}

/** @param {string[]} paths */
function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths) addTree(join(ROOT, path), hash);
  return hash.digest('hex');
}

/** @param {string} stamp @param {string} value */
function isCurrent(stamp, value) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === value;
}

/**
 * Installs one package of this repository exactly as locked, unless that has been done already.
 * @param {string} [folder] relative to the repository
 */
export function ensureInstalled(folder = '.') {
  const directory = join(ROOT, folder);
  const stamp = join(directory, 'node_modules', '.installed');
  const value = digest([join(folder, 'package-lock.json')]);
  if (isCurrent(stamp, value)) return;
  console.error(`Installing ${folder === '.' ? 'the dependencies' : folder} (once)…`);
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: directory });
  writeFileSync(stamp, value);
}

/** Builds server, portal and database image, unless nothing changed since the last build. */
export function ensureBuilt() {
  const value = digest(BUILD_INPUTS);
  if (isCurrent(STAMP, value)) return;
  console.error('Building (once)…');
  run('npm', ['run', '--silent', 'build']);
  mkdirSync(dirname(STAMP), { recursive: true });
  writeFileSync(STAMP, value);
}
