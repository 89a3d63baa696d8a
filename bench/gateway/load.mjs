// The callers of bench:gateway, in a process of their own: raw JSON-RPC over kept-alive connections, because an SDK
// client costs more than the gateway that it would measure. One job per message.
import { Pool } from 'undici';
import { usageOf } from './processes.mjs';

const MODERN = '2026-07-28';
const LEGACY = '2025-11-25';
const META = {
  'io.modelcontextprotocol/protocolVersion': MODERN,
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/**
 * @typedef {object} Job
 * @property {string} url
 * @property {Record<string, string>} headers
 * @property {'modern' | 'legacy'} era
 * @property {string} tool as it is called there
 * @property {Record<string, unknown>} [arguments] of the tool
 * @property {boolean} [plain] a GET of the URL, or a POST of `body`, in place of a tool's call
 * @property {string} [body] JSON
 * @property {number} callers
 * @property {number} [rate] calls per second that arrive, whether or not earlier ones are answered; none: each caller calls again at once
 * @property {number} [ms] how long
 * @property {number} [calls] or how many calls
 * @property {number} warm_ms how long before that, not measured
 * @property {number} [pid] of the process whose processor time is wanted
 * @property {number} least a shorter answer is not the right one
 */

/** @param {Job} job */
function client(job) {
  const { origin, pathname } = new URL(job.url);
  const pool = new Pool(origin, { connections: job.callers, pipelining: 1, bodyTimeout: 60_000 });
  let last = 0;
  const id = () => {
    last += 1;
    return last;
  };
  /** @param {Record<string, unknown>} body @param {Record<string, string>} [headers] */
  const post = async (body, headers = {}) => {
    const answer = await pool.request({
      method: 'POST',
      path: pathname,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...job.headers,
        ...headers,
      },
      body: JSON.stringify(body),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, text };
  };
  const { body: given } = job;
  const typed = { 'content-type': 'application/json', ...job.headers };
  const plain = async () => {
    const answer = await pool.request(
      given === undefined
        ? { method: 'GET', path: pathname, headers: job.headers }
        : { method: 'POST', path: pathname, headers: typed, body: given },
    );
    const text = await answer.body.text();
    if (answer.statusCode !== 200 || text.length < job.least) {
      throw new Error(`a request answered ${answer.statusCode}: ${text.slice(0, 300)}`);
    }
  };
  const open = async () => {
    if (job.era === 'modern' || job.plain) return {};
    const clientInfo = { name: 'bench', version: '1' };
    const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo };
    const { status, headers, text } = await post({ jsonrpc: '2.0', id: id(), method: 'initialize', params });
    const session = String(headers['mcp-session-id']);
    if (status !== 200) throw new Error(`initialize answered ${status}: ${text.slice(0, 200)}`);
    const more = { 'mcp-session-id': session, 'mcp-protocol-version': LEGACY };
    await post({ jsonrpc: '2.0', method: 'notifications/initialized' }, more);
    return more;
  };
  /** @param {Record<string, string>} session */
  const call = async (session) => {
    if (job.plain) return plain();
    const params = { name: job.tool, arguments: job.arguments ?? { message: 'hello' } };
    const modern = job.era === 'modern';
    const headers = modern
      ? { 'mcp-protocol-version': MODERN, 'mcp-method': 'tools/call', 'mcp-name': job.tool }
      : session;
    const body = {
      jsonrpc: '2.0',
      id: id(),
      method: 'tools/call',
      params: modern ? { ...params, _meta: META } : params,
    };
    const { status, text } = await post(body, headers);
    if (status !== 200 || text.length < job.least || text.includes('"isError":true')) {
      throw new Error(`a call answered ${status}: ${text.slice(0, 300)}`);
    }
  };
  return { open, call, close: () => pool.destroy() };
}

/** @param {number[]} values @param {number} share */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** @param {Job} job */
async function run(job) {
  const { open, call, close } = client(job);
  try {
    const sessions = await Promise.all(Array.from({ length: job.callers }, open));
    /** @param {number} ms @param {number} calls @param {number[]} latencies */
    const closedLoop = async (ms, calls, latencies) => {
      const end = performance.now() + ms;
      let begun = 0;
      await Promise.all(
        sessions.map(async (session) => {
          while (performance.now() < end && begun < calls) {
            begun += 1;
            const at = performance.now();
            await call(session);
            latencies.push(performance.now() - at);
          }
        }),
      );
    };
    /** A call's time counts from when it arrived, not from when a caller was free for it. @param {number} rate @param {number} ms @param {number[]} latencies */
    const openLoop = async (rate, ms, latencies) => {
      const start = performance.now();
      const free = [...sessions];
      /** @type {(() => void)[]} */
      const waiting = [];
      /** @type {Promise<void>[]} */
      const all = [];
      for (let index = 0; index < (rate * ms) / 1000; index += 1) {
        const at = start + (index * 1000) / rate;
        const wait = at - performance.now();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        const arrived = Math.max(at, performance.now() - 1);
        all.push(
          (async () => {
            if (free.length === 0) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
            const session = free.pop() ?? {};
            await call(session);
            latencies.push(performance.now() - arrived);
            free.push(session);
            waiting.shift()?.();
          })(),
        );
      }
      await Promise.all(all);
    };
    await closedLoop(job.warm_ms, Number.POSITIVE_INFINITY, []);
    /** @type {number[]} */
    const latencies = [];
    const cpu = () => (job.pid === undefined ? 0 : usageOf(job.pid).cpu_ms);
    const cpuBefore = cpu();
    const begun = performance.now();
    if (job.rate !== undefined) await openLoop(job.rate, job.ms ?? 1000, latencies);
    else await closedLoop(job.ms ?? Number.POSITIVE_INFINITY, job.calls ?? Number.POSITIVE_INFINITY, latencies);
    const seconds = (performance.now() - begun) / 1000;
    return {
      calls: latencies.length,
      cpu_us: (1000 * (cpu() - cpuBefore)) / latencies.length,
      per_second: latencies.length / seconds,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
    };
  } finally {
    await close();
  }
}

process.on('message', (/** @type {Job} */ job) => {
  run(job).then(
    (done) => process.send?.(done),
    (error) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
