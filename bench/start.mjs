// npm run bench:start [-- runs [other cli.js]]: how long a start takes, from the command to the first answer of /readyz,
// in a new data directory and again in it. With the built `dist/cli.js` of another version, runs of both alternate, so
// that whatever else the machine does hits both alike. Memory and processor time are read from /proc: Linux only.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, fail, ROOT, requireNode } from '../scripts/prepare.mjs';

const DEFAULT_RUNS = 7;
const CLOCK_TICK_MS = 10;
const GIVE_UP_MS = 60_000;

/** @typedef {{ wall_ms: number, cpu_ms: number, rss_mb: number }} Start */

/** @param {string} cli @param {string} dataDir @returns {Promise<Start>} */
async function start(cli, dataDir) {
  const begun = performance.now();
  const args = [cli, '--transport', 'http', '--address', '127.0.0.1:0', '--data-dir', dataDir];
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: 'warn' };
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
  const timer = setTimeout(() => server.kill('SIGKILL'), GIVE_UP_MS);
  const ended = new Promise((resolve) => server.once('close', resolve));
  /** @type {Promise<string>} */
  const origin = new Promise((resolve, reject) => {
    let text = '';
    server.stdout.on('data', (/** @type {Buffer} */ chunk) => {
      text += chunk;
      const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
      if (found !== undefined) resolve(found);
    });
    void ended.then(() => reject(new Error(`${cli} ended before it served`)));
  });
  const { status } = await fetch(`${await origin}/readyz`);
  const wall_ms = performance.now() - begun;
  if (status !== 200) throw new Error(`/readyz answered ${status}`);
  const usage = usageOf(server.pid ?? 0);
  server.kill('SIGTERM');
  await ended;
  clearTimeout(timer);
  return { wall_ms, ...usage };
}

/** @param {number} pid @see proc_pid_stat(5): utime and stime are fields 14 and 15 */
function usageOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
  return { cpu_ms: (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS, rss_mb: rss / 1024 };
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0);
}

/** @param {string} which @param {string} directory @param {Start[]} starts */
function summary(which, directory, starts) {
  return {
    which,
    directory,
    runs: starts.length,
    'wall ms': median(starts.map(({ wall_ms }) => wall_ms)),
    'fastest ms': Math.round(Math.min(...starts.map(({ wall_ms }) => wall_ms))),
    'user+sys ms': median(starts.map(({ cpu_ms }) => cpu_ms)),
    'RSS MB': median(starts.map(({ rss_mb }) => rss_mb)),
  };
}

requireNode();
if (process.platform !== 'linux') fail('bench:start reads /proc and so needs Linux.');
ensureInstalled();
ensureBuilt();
const runs = Number(process.argv[2] ?? DEFAULT_RUNS);
if (!Number.isInteger(runs) || runs < 1) fail('npm run bench:start [-- runs [other cli.js]]');
const other = process.argv[3];
const versions = [{ which: 'this', cli: join(ROOT, 'dist', 'cli.js') }];
if (other !== undefined) versions.push({ which: 'other', cli: other });
const measured = versions.map((version) => ({
  ...version,
  anew: /** @type {Start[]} */ ([]),
  again: /** @type {Start[]} */ ([]),
}));
for (let run = 0; run < runs; run += 1) {
  for (const { cli, anew, again } of measured) {
    const dataDir = mkdtempSync(join(tmpdir(), 'mcp-data-platform-bench-'));
    try {
      anew.push(await start(cli, dataDir));
      again.push(await start(cli, dataDir));
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  }
}
console.table(
  measured.flatMap(({ which, anew, again }) => [summary(which, 'new', anew), summary(which, 'existing', again)]),
);
