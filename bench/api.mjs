// npm run bench:api: what the gateway adds to a call of an HTTP API, as plain HTTP and by the tool. The same callers ask
// the same API directly and through the gateway, in alternating rounds. `-- --quick` for a try. Linux.
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, fail, requireNode } from '../scripts/prepare.mjs';
import { helper, KEYS, platform, until } from './gateway/processes.mjs';

/** Code that is still being compiled costs several times as much. */
const WARM_CALLS = 4_000;
const WARM_MS = 300;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    ways: { type: 'string', default: 'plain,post,tool' },
    callers: { type: 'string', default: '1,16,open' },
    /** `bare` answers with next to no work, `framework` as most APIs do. */
    upstream: { type: 'string', default: 'bare,framework' },
    /** Options of Node for the gateway, such as --cpu-prof. */
    node: { type: 'string', default: '' },
    /** The built dist/cli.js of another version. */
    cli: { type: 'string' },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
const ms = 1000 * Number(options.seconds ?? (options.quick ? 1 : 3));
const list = (/** @type {string} */ text) => text.split(',').filter(Boolean);

/** @typedef {{ calls: number, cpu_us: number, per_second: number, p50: number, p99: number }} Measured */

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

requireNode();
if (process.platform !== 'linux') fail('bench:api reads /proc and so needs Linux.');
ensureInstalled();
if (options.cli === undefined) ensureBuilt();
console.log(`load before: ${loadavg()[0]?.toFixed(1)}`);
const upstreams = await helper('../api/upstream.mjs');
const provider = await helper('upstream.mjs', ['10']);
const caller = await helper('load.mjs');
const gateway = await platform({ node: list(options.node.replaceAll(' ', ',')), cli: options.cli });

/** @param {Record<string, unknown>} direct @param {Record<string, unknown>} through */
async function compare(direct, through) {
  /** @type {{ direct: Measured[], through: Measured[] }} */
  const measured = { direct: [], through: [] };
  /** @type {number[]} */
  const cpu = [];
  for (let round = 0; round < rounds; round += 1) {
    measured.direct.push(await caller.ask(direct));
    const one = await caller.ask({ ...through, pid: gateway.pid });
    cpu.push(one.cpu_us);
    measured.through.push(one);
  }
  /** @param {'direct' | 'through'} which @param {'per_second' | 'p50' | 'p99'} what */
  const of = (which, what) => median(measured[which].map((one) => one[what]));
  /** @param {'p50' | 'p99'} what */
  const added = (what) =>
    median(measured.through.map((one, round) => one[what] - (measured.direct[round]?.[what] ?? 0)));
  return {
    'direct p50 ms': of('direct', 'p50').toFixed(2),
    'direct p99 ms': of('direct', 'p99').toFixed(2),
    'added p50 ms': added('p50').toFixed(2),
    'added p99 ms': added('p99').toFixed(2),
    'direct/s': Math.round(of('direct', 'per_second')),
    'calls/s': Math.round(of('through', 'per_second')),
    '%': Math.round((100 * of('through', 'per_second')) / of('direct', 'per_second')),
    'CPU µs': Math.round(median(cpu)),
  };
}

/** Tokens live for 10 s, and are refreshed meanwhile. @param {string} upstream @param {string} origin @param {string} issuer */
async function connect(upstream, origin, issuer) {
  await gateway.put(
    upstream,
    {
      base_url: origin,
      auth_mode: 'oauth',
      oauth2_authorization_url: `${issuer}/authorize`,
      oauth2_token_url: `${issuer}/token`,
      oauth2_client_id: 'bench',
      oauth2_client_secret: 'the-secret-of-the-bench',
    },
    'api',
  );
  await gateway.connect(upstream, 'api');
}

/** @param {string} upstream @param {string} origin */
function waysTo(upstream, origin) {
  const common = {
    headers: { authorization: `Bearer ${KEYS.agent}` },
    era: 'modern',
    tool: '',
    least: 200,
    plain: true,
  };
  const direct = { ...common, url: `${origin}/items/1` };
  const plain = { ...common, url: `${gateway.url}/api/v1/gateway/${upstream}/items/1` };
  const body = JSON.stringify({ name: 'hello', tags: ['a', 'b'], text: 'x'.repeat(200) });
  /** @type {Record<string, { direct: Record<string, unknown>, through: Record<string, unknown> }>} */
  const ways = {
    plain: { direct, through: plain },
    post: { direct: { ...direct, body }, through: { ...plain, body } },
    tool: {
      direct,
      through: {
        ...common,
        plain: false,
        url: `${gateway.url}/mcp`,
        tool: 'api_read_endpoint',
        arguments: { connection: upstream, path: '/items/1' },
      },
    },
  };
  return list(options.ways).flatMap((way) => (ways[way] ? [{ way, ...ways[way] }] : []));
}

try {
  const rows = [];
  const before = await provider.ask('report');
  for (const upstream of list(options.upstream)) {
    const origin = String(upstreams.first[upstream]);
    await connect(upstream, origin, provider.first);
    await until(async () => (await gateway.tools()).includes('api_read_endpoint'));
    const chosen = waysTo(upstream, origin);
    for (const { direct, through } of chosen) {
      for (const job of [direct, through]) await caller.ask({ ...job, callers: 16, calls: WARM_CALLS, warm_ms: 0 });
    }
    for (const { way, direct, through } of chosen) {
      for (const callers of list(options.callers)) {
        const how = callers === 'open' ? { callers: 16, rate: 100 } : { callers: Number(callers) };
        const timed = { ...how, ms, warm_ms: WARM_MS };
        const row = await compare({ ...direct, ...timed }, { ...through, ...timed });
        rows.push({ upstream, way, callers: callers === 'open' ? '16, 100/s' : callers, ...row });
      }
    }
  }
  const { refreshed } = await provider.ask('report');
  console.log(`${refreshed - before.refreshed} tokens refreshed meanwhile`);
  console.table(rows);
} finally {
  await gateway.stop();
  gateway.remove();
  caller.stop();
  upstreams.stop();
  provider.stop();
}
