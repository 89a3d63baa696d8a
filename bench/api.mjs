// npm run bench:api: what the gateway adds to a call of an HTTP API, as plain HTTP and by the tool. The same callers ask
// the same API directly and through the gateway, in alternating rounds. `-- --quick` for a try. Linux.
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, requireNode } from '../scripts/prepare.mjs';
import { helper, KEYS, platform, until } from './gateway/processes.mjs';

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, rounds: { type: 'string' }, seconds: { type: 'string' } },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
const ms = 1000 * Number(options.seconds ?? (options.quick ? 1 : 3));

/** @param {number[]} values */
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const LOADS = [
  { load: '1 caller', callers: 1 },
  { load: '16 callers', callers: 16 },
  { load: '100/s of 16', callers: 16, rate: 100 },
];

requireNode();
await ensureInstalled();
await ensureBuilt();
const upstream = await helper('../api/upstream.mjs');
const caller = await helper('load.mjs');
const gateway = await platform();
try {
  const origin = String(upstream.first);
  const config = { base_url: origin, auth_mode: 'bearer', credential: 'the-credential-of-the-bench' };
  await gateway.put('bench', config, 'api');
  await until(async () => (await gateway.tools()).includes('api_read_endpoint'));
  const headers = { authorization: `Bearer ${KEYS.agent}` };
  const common = { headers, era: 'modern', tool: '', warm_ms: 500, least: 200, ms };
  const ways = {
    direct: { ...common, url: `${origin}/items/1`, plain: true },
    plain: { ...common, url: `${gateway.url}/api/v1/gateway/bench/items/1`, plain: true },
    tool: {
      ...common,
      url: `${gateway.url}/mcp`,
      tool: 'api_read_endpoint',
      arguments: { connection: 'bench', path: '/items/1' },
    },
  };
  const rows = [];
  for (const { load, ...how } of LOADS) {
    /** @type {Record<string, { per_second: number, p50: number, p99: number }[]>} */
    const measured = { direct: [], plain: [], tool: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const [way, job] of Object.entries(ways)) measured[way]?.push(await caller.ask({ ...job, ...how }));
    }
    /** @param {string} way @param {'per_second' | 'p50' | 'p99'} what */
    const of = (way, what) => median((measured[way] ?? []).map((one) => one[what]));
    for (const way of ['plain', 'tool']) {
      rows.push({
        way,
        load,
        'direct p50 ms': of('direct', 'p50').toFixed(2),
        'added p50 ms': (of(way, 'p50') - of('direct', 'p50')).toFixed(2),
        'added p99 ms': (of(way, 'p99') - of('direct', 'p99')).toFixed(2),
        'calls/s': Math.round(of(way, 'per_second')),
        'of direct %': Math.round((100 * of(way, 'per_second')) / of('direct', 'per_second')),
      });
    }
  }
  console.table(rows);
} finally {
  await gateway.stop();
  gateway.remove();
  caller.stop();
  upstream.stop();
}
