// What bench:gateway measures with: processes that answer messages, and a platform of its own.
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../../scripts/prepare.mjs';

const CLOCK_TICK_MS = 10;
const GIVE_UP_MS = 120_000;
export const KEYS = { admin: 'admin-key-of-the-benchmark-run', agent: 'agent-key-of-the-benchmark-run' };

/** @param {import('node:child_process').ChildProcess} child @returns {Promise<any>} */
function said(child) {
  return new Promise((resolve, reject) => {
    const ended = (/** @type {number | null} */ code) => reject(new Error(`a process of the bench ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message);
    });
  });
}

/** A process of this folder: `first` is what it says by itself, `ask` sends one message and gives the answer. */
export async function helper(/** @type {string} */ file, /** @type {string[]} */ args = []) {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args);
  const first = await said(child);
  return {
    first,
    /** @param {any} message */
    async ask(message) {
      const answer = said(child);
      child.send(message);
      const told = await answer;
      if (told.error !== undefined) throw new Error(told.error);
      return told;
    },
    stop: () => child.kill('SIGKILL'),
  };
}

/** @param {number} pid @see proc_pid_stat(5): utime and stime are fields 14 and 15 */
export function usageOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  return { cpu_ms: (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS, rss_mb: rss / 1024 };
}

/** @param {() => Promise<boolean>} look */
export async function until(look, ms = GIVE_UP_MS) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await look().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('waited for too long');
}

/**
 * The product as a program. `data_dir` keeps what an earlier one left.
 * @param {{ node?: string[], data_dir?: string, cli?: string }} [options]
 */
export async function platform({ node = [], data_dir, cli = join(ROOT, 'dist', 'cli.js') } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-data-platform-bench-'));
  const config = join(folder, 'config.yaml');
  const api_keys = [
    { name: 'operator', role: 'admin', key: KEYS.admin },
    { name: 'agent', role: 'agent', key: KEYS.agent },
  ];
  // YAML is a superset of JSON.
  writeFileSync(config, JSON.stringify({ address: '127.0.0.1:0', api_keys }));
  const dataDir = data_dir ?? join(folder, 'data');
  const args = [...node, cli, '--transport', 'http', '--config', config, '--data-dir', dataDir];
  const begun = performance.now();
  const env = { PATH: process.env.PATH, HOME: folder, LOG_LEVEL: 'error' };
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('close', resolve));
  /** @type {Promise<string>} */
  const address = new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => reject(new Error('the platform ended before it served')));
  });
  const url = await address;
  await until(async () => (await fetch(`${url}/readyz`)).status === 200);
  const ready_ms = performance.now() - begun;

  /** @param {string} method @param {string} path @param {unknown} [body] */
  const api = async (method, path, body) => {
    const headers = { authorization: `Bearer ${KEYS.admin}`, 'content-type': 'application/json' };
    const answer = await fetch(`${url}/api/v1/admin/${path}`, { method, headers, body: JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  return {
    url,
    pid: child.pid ?? 0,
    begun,
    ready_ms,
    data_dir: dataDir,
    usage: () => usageOf(child.pid ?? 0),
    /** @param {string} name @param {Record<string, unknown>} config @param {string} [kind] */
    put: (name, config, kind = 'mcp') => api('PUT', `connection-instances/${kind}/${name}`, { config }),
    /** What a person does, at a provider that asks nothing. @param {string} name @param {string} [kind] */
    async connect(name, kind = 'mcp') {
      const { authorization_url } = await api('POST', `connections/${kind}/${name}/oauth-start`, {});
      const page = await fetch(authorization_url, { method: 'POST', redirect: 'manual' });
      const cookie = page.headers.getSetCookie().map((line) => line.split(';')[0]);
      const away = await fetch(page.headers.get('location') ?? '', { redirect: 'manual' });
      const back = away.headers.get('location') ?? '';
      await fetch(back, { redirect: 'manual', headers: { cookie: cookie.join('; ') } });
    },
    /** The names that an agent sees. */
    async tools() {
      const { names } = await list(url);
      return names;
    },
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Every page of the merged list. @param {string} url */
async function list(url) {
  /** @type {string[]} */
  const names = [];
  for (let cursor; ; ) {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const answer = await fetch(`${url}/mcp`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${KEYS.agent}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/list',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta, cursor } }),
    });
    /** @type {any} */
    const { result } = await answer.json();
    names.push(...result.tools.map((/** @type {{ name: string }} */ { name }) => name));
    cursor = result.nextCursor;
    if (cursor === undefined) return { names };
  }
}
