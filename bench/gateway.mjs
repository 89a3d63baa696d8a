// npm run bench:gateway [-- options]: what the gateway adds to a call. The same callers call the same upstream directly
// and through the gateway, in alternating rounds, while the connections' tokens are refreshed; then a start with 50
// connections, and memory over 100,000 calls. `-- --quick` for a try, `-- --parts calls,start,memory` for some. Linux.
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, fail, requireNode } from '../scripts/prepare.mjs';
import { helper, KEYS, platform, until } from './gateway/processes.mjs';

const ERAS = /** @type {const} */ (['modern', 'legacy']);
const MIB = 1024 * 1024;
const START_CONNECTIONS = 50;
const WARM_CALLS = 4_000;

const { values: options } = parseArgs({
  options: {
    parts: { type: 'string', default: 'calls,start,memory' },
    quick: { type: 'boolean', default: false },
    eras: { type: 'string', default: ERAS.join(',') },
    tools: { type: 'string', default: '1,300' },
    callers: { type: 'string', default: '1,16,64,open' },
    sizes: { type: 'string', default: 'small,1MiB' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    'token-seconds': { type: 'string', default: '10' },
    'memory-calls': { type: 'string' },
    /** `connection`: at /mcp/<connection>, without prefixes. */
    view: { type: 'string', default: 'aggregate' },
    /** `bare` answers with next to no work, `sdk` by the official SDK's server, as most upstreams do. */
    upstream: { type: 'string', default: 'bare,sdk' },
    /** Options of Node for the gateway, such as --cpu-prof. */
    node: { type: 'string', default: '' },
    /** The built dist/cli.js of another version. */
    cli: { type: 'string' },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const ms = 1000 * Number(options.seconds ?? (options.quick ? 1 : 2));
const memoryCalls = Number(options['memory-calls'] ?? (options.quick ? 10_000 : 100_000));
const list = (/** @type {string} */ text) => text.split(',').filter(Boolean);

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
/** @param {number} value @param {number} [digits] */
const rounded = (value, digits = 2) => Number(value.toFixed(digits));

/** @typedef {Awaited<ReturnType<typeof helper>>} Helper */
/** @typedef {Awaited<ReturnType<typeof platform>>} Platform */
/** @typedef {{ calls: number, cpu_us: number, per_second: number, p50: number, p99: number }} Measured */

/** @param {string} [data_dir] */
const startPlatform = (data_dir) =>
  platform({ node: options.node.split(' ').filter(Boolean), data_dir, cli: options.cli });

/** @param {Platform} gateway @param {string} origin @param {string} base @param {string} tools @param {string[]} eras */
async function connect(gateway, origin, base, tools, eras) {
  for (const era of eras) {
    await gateway.put(era, {
      endpoint: `${base}/${era}/${tools}`,
      auth_mode: 'oauth',
      oauth2_authorization_url: `${origin}/authorize`,
      oauth2_token_url: `${origin}/token`,
      oauth2_client_id: 'bench',
      oauth2_client_secret: 'the-secret-of-the-bench',
    });
    await gateway.connect(era);
  }
  await until(async () => {
    const names = await gateway.tools();
    return eras.every((era) => names.includes(`${era}__echo`));
  });
}

/** @param {Platform} gateway @param {string} base @param {string} era @param {string} tools @param {string} tool */
function targets(gateway, base, era, tools, tool) {
  const headers = { authorization: `Bearer ${KEYS.agent}` };
  const merged = options.view === 'aggregate';
  return {
    direct: { url: `${base}/open/${era}/${tools}`, headers: {}, tool },
    gateway: { url: `${gateway.url}/mcp${merged ? '' : `/${era}`}`, headers, tool: merged ? `${era}__${tool}` : tool },
  };
}

/** @param {Helper} load @param {Platform} gateway @param {ReturnType<typeof targets>} target @param {Record<string, unknown>} job */
async function compare(load, gateway, target, job) {
  /** @type {{ direct: Measured[], gateway: Measured[] }} */
  const measured = { direct: [], gateway: [] };
  /** @type {number[]} */
  const cpu = [];
  for (let round = 0; round < rounds; round += 1) {
    measured.direct.push(await load.ask({ ...job, ...target.direct, ms }));
    const through = await load.ask({ ...job, ...target.gateway, ms, pid: gateway.pid });
    cpu.push(through.cpu_us);
    measured.gateway.push(through);
  }
  const of = (/** @type {'direct' | 'gateway'} */ which, /** @type {keyof Measured} */ what) =>
    median(measured[which].map((one) => one[what]));
  const added = (/** @type {'p50' | 'p99'} */ what) =>
    median(measured.gateway.map((one, round) => one[what] - (measured.direct[round]?.[what] ?? 0)));
  return {
    'direct p50': rounded(of('direct', 'p50')),
    'direct p99': rounded(of('direct', 'p99')),
    'added p50': rounded(added('p50')),
    'added p99': rounded(added('p99')),
    'direct/s': Math.round(of('direct', 'per_second')),
    'gateway/s': Math.round(of('gateway', 'per_second')),
    '%': Math.round((100 * of('gateway', 'per_second')) / of('direct', 'per_second')),
    'CPU µs': Math.round(median(cpu)),
  };
}

/** @param {Helper} upstream @param {Helper} load */
async function calls(upstream, load) {
  const rows = [];
  for (const kind of list(options.upstream)) {
    for (const tools of list(options.tools)) rows.push(...(await callsOf(upstream, load, kind, tools)));
  }
  console.table(rows);
}

/** @param {Helper} upstream @param {Helper} load @param {string} kind @param {string} tools */
async function callsOf(upstream, load, kind, tools) {
  const base = `${upstream.first}${kind === 'sdk' ? '/sdk' : ''}`;
  const eras = list(options.eras);
  const rows = [];
  const gateway = await startPlatform();
  try {
    await connect(gateway, upstream.first, base, tools, eras);
    // Code that is still being compiled costs several times as much.
    for (const era of eras) {
      const target = targets(gateway, base, era, tools, 'echo');
      for (const one of [target.direct, target.gateway]) {
        await load.ask({ ...one, era, callers: 16, calls: WARM_CALLS, warm_ms: 0, least: 10 });
      }
    }
    const before = await upstream.ask('report');
    for (const size of list(options.sizes)) {
      for (const era of eras) {
        for (const callers of list(options.callers)) {
          const large = size !== 'small';
          // 64 callers with 1 MiB each say more of the machine than of the gateway; and the list does not matter to them.
          if (large && (callers === '64' || callers === 'open' || tools !== list(options.tools)[0])) continue;
          const open = callers === 'open';
          const loop = open ? { callers: 16, rate: 100 } : { callers: Number(callers) };
          const job = { era, ...loop, warm_ms: 500, least: large ? MIB : 10 };
          const target = targets(gateway, base, era, tools, large ? 'large' : 'echo');
          const row = await compare(load, gateway, target, job);
          rows.push({ upstream: kind, era, tools, result: size, callers: open ? '16, 100/s' : callers, ...row });
        }
      }
    }
    const after = await upstream.ask('report');
    const refreshed = after.refreshed - before.refreshed;
    console.log(
      `${kind}, ${tools} tools: ${refreshed} tokens refreshed meanwhile, ${after.refused - before.refused} calls refused with 401`,
    );
  } finally {
    await gateway.stop();
    gateway.remove();
  }
  return rows;
}

/** @param {Helper} upstream */
async function start(upstream) {
  const first = await startPlatform();
  const none = await timed(first, []);
  /** @type {string[]} */
  const expected = [];
  for (let index = 0; index < START_CONNECTIONS; index += 1) {
    const era = ERAS[index % 2] ?? 'modern';
    await first.put(`c${index}`, { endpoint: `${upstream.first}/open/${era}/20`, auth_mode: 'none' });
    expected.push(`c${index}__tool_19`);
  }
  await until(async () => {
    const names = new Set(await first.tools());
    return expected.every((name) => names.has(name));
  });
  await first.stop();
  const rows = [{ connections: 0, ...none }];
  for (let run = 0; run < rounds; run += 1) {
    const before = (await upstream.ask('report')).listed;
    const again = await startPlatform(first.data_dir);
    rows.push({ connections: START_CONNECTIONS, ...(await timed(again, expected, upstream, before)) });
    await again.stop();
    again.remove();
  }
  first.remove();
  console.table(rows);
}

/** @param {Platform} gateway @param {string[]} expected @param {Helper} [upstream] @param {number} [before] */
async function timed(gateway, expected, upstream, before = 0) {
  const { ready_ms } = gateway;
  if (upstream) {
    // Each connection has been dialled and has listed its tools anew.
    await until(async () => (await upstream.ask('report')).listed - before >= expected.length);
  }
  const dialled = performance.now() - gateway.begun;
  const { cpu_ms, rss_mb } = gateway.usage();
  return {
    'ready ms': Math.round(ready_ms),
    'all listed ms': upstream ? Math.round(dialled) : 0,
    'CPU ms': cpu_ms,
    'RSS MB': Math.round(rss_mb),
  };
}

/** @param {Helper} upstream @param {Helper} load */
async function memory(upstream, load) {
  const gateway = await startPlatform();
  try {
    await connect(gateway, upstream.first, upstream.first, '1', ['modern', 'legacy']);
    const rows = [];
    const step = memoryCalls / 10;
    for (let done = 0; done <= memoryCalls; done += step) {
      if (done > 0) {
        for (const era of ERAS) {
          const target = targets(gateway, upstream.first, era, '1', 'echo');
          await load.ask({ ...target.gateway, era, callers: 16, calls: step / 2, warm_ms: 0, least: 10 });
        }
      }
      rows.push({ calls: done, 'RSS MB': Math.round(gateway.usage().rss_mb) });
    }
    console.table(rows);
  } finally {
    await gateway.stop();
    gateway.remove();
  }
}

requireNode();
if (process.platform !== 'linux') fail('bench:gateway reads /proc and so needs Linux.');
ensureInstalled();
ensureBuilt();
const upstream = await helper('./upstream.mjs', [options['token-seconds']]);
const load = await helper('./load.mjs');
try {
  console.log(`load before: ${loadavg()[0]?.toFixed(1)}`);
  const parts = list(options.parts);
  if (parts.includes('calls')) await calls(upstream, load);
  if (parts.includes('start')) await start(upstream);
  if (parts.includes('memory')) await memory(upstream, load);
} finally {
  upstream.stop();
  load.stop();
}
