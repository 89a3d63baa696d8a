#!/usr/bin/env node
// Starts the demo's identity provider and its protected MCP server, each as a process of its own on loopback.
// Run by hand (`npm start` here), or imported by `mcp-data-platform --demo` and by the tests.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export { submitLogin } from './login.mjs';

export const IDENTITY_PROVIDER_PORT = 9400;
export const UPSTREAM_PORT = 9401;
export const ACCOUNT = { username: 'demo', password: 'demo' };

const START_LIMIT_MS = 30_000;
const HERE = fileURLToPath(new URL('.', import.meta.url));

/** @returns {boolean} whether this folder's dependencies are there; this file itself needs none */
export function isInstalled() {
  return ['oidc-provider', '@modelcontextprotocol/server-everything'].every((name) =>
    existsSync(join(HERE, 'node_modules', name, 'package.json')),
  );
}

/** @typedef {(line: string) => void} Log */
/** @typedef {{ pid: number, stop(): Promise<void>, kill(): Promise<void> }} Part */

/**
 * Both programs end with this process, however it ends. A second start on the same folder finds its clients, grants
 * and tokens again, under the same addresses.
 *
 * @param {{ dataDir: string, log?: Log }} options
 * @returns {Promise<{ issuer: string, upstreamUrl: string, username: string, password: string, stop(): Promise<void> }>}
 */
export async function startDemo({ dataDir, log = () => {} }) {
  if (!isInstalled()) throw new Error(`the demo's parts are not installed: run \`npm ci --ignore-scripts\` in ${HERE}`);
  const identityProvider = await startIdentityProvider({
    dataDir: join(dataDir, 'identity-provider'),
    preferredPort: IDENTITY_PROVIDER_PORT,
    log,
  });
  try {
    const upstream = await startUpstream({
      dataDir: join(dataDir, 'upstream'),
      preferredPort: UPSTREAM_PORT,
      issuer: identityProvider.issuer,
      log,
    });
    return {
      issuer: identityProvider.issuer,
      upstreamUrl: upstream.resource,
      ...ACCOUNT,
      stop: async () => void (await Promise.all([upstream.stop(), identityProvider.stop()])),
    };
  } catch (error) {
    await identityProvider.stop();
    throw error;
  }
}

/**
 * @param {{ dataDir: string, preferredPort?: number, accessTtl?: number, refreshIdleTtl?: number, rotation?: boolean, discloseRefreshExpiry?: boolean, log?: Log }} options
 *   lifetimes in seconds
 * @returns {Promise<Part & { issuer: string }>}
 */
export async function startIdentityProvider(options) {
  const { dataDir, preferredPort, accessTtl, refreshIdleTtl, rotation, discloseRefreshExpiry, log } = options;
  const onOff = (/** @type {boolean | undefined} */ value) => (value === undefined ? undefined : value ? 'on' : 'off');
  const { facts, part } = await startPart('identity-provider', log, {
    'data-dir': dataDir,
    'preferred-port': preferredPort,
    'access-ttl': accessTtl,
    'refresh-idle-ttl': refreshIdleTtl,
    rotation: onOff(rotation),
    'disclose-refresh-expiry': onOff(discloseRefreshExpiry),
  });
  return { ...part, issuer: String(facts.issuer) };
}

/**
 * @param {{ dataDir: string, issuer: string, preferredPort?: number, log?: Log }} options
 * @returns {Promise<Part & { resource: string }>}
 */
export async function startUpstream({ dataDir, issuer, preferredPort, log }) {
  const { facts, part } = await startPart('upstream', log, {
    'data-dir': dataDir,
    'preferred-port': preferredPort,
    issuer,
  });
  return { ...part, resource: String(facts.resource) };
}

/**
 * @param {string} name of the program beside this file
 * @param {Log | undefined} log
 * @param {Record<string, string | number | undefined>} flags
 * @returns {Promise<{ facts: Record<string, unknown>, part: Part }>}
 */
async function startPart(name, log, flags) {
  const given = Object.entries(flags).flatMap(([flag, value]) =>
    value === undefined ? [] : [`--${flag}`, String(value)],
  );
  // The IPC channel carries no message: its closing is what tells the program that this process is gone.
  const child = spawn(process.execPath, [fileURLToPath(new URL(`./${name}.mjs`, import.meta.url)), ...given], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  /** @type {Promise<void>} */
  const ended = new Promise((resolve) => child.once('exit', () => resolve()));
  /** @type {string[]} */
  const said = [];
  createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stderr) }).on('line', (line) => {
    if (said.push(line) > 20) said.shift();
    log?.(`${name}: ${line}`);
  });

  /** @type {Record<string, unknown>} */
  const facts = await new Promise((resolve, reject) => {
    const refuse = (/** @type {string} */ reason) =>
      reject(new Error(`the demo's ${name} ${reason}${said.length === 0 ? '' : `: ${said.join(' / ')}`}`));
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      refuse('did not get ready in time');
    }, START_LIMIT_MS);
    child.once('error', (error) => refuse(`could not be started (${error.message})`));
    child.once('close', () => {
      clearTimeout(limit);
      refuse('ended at start');
    });
    createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) }).on('line', (line) => {
      if (!line.startsWith('{"ready":true')) return;
      clearTimeout(limit);
      resolve(JSON.parse(line));
    });
  });
  const end = async (/** @type {NodeJS.Signals} */ signal) => {
    child.kill(signal);
    await ended;
  };
  return { facts, part: { pid: child.pid ?? 0, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const demo = await startDemo({ dataDir: process.argv[2] ?? '.demo', log: (line) => console.error(line) });
  console.log(`identity provider  ${demo.issuer}`);
  console.log(`MCP server         ${demo.upstreamUrl}`);
  console.log(`sign in as         ${demo.username} / ${demo.password}`);
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) {
    process.once(signal, () => void demo.stop().then(() => process.exit(0)));
  }
}
