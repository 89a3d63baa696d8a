// npm run bench:api-descriptions: how long GitHub's description takes to load, and a search in it, the very first one included,
// each run in a process of its own. See bench/README.md.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DESCRIPTIONS, ensureDescriptions } from '../scripts/descriptions.mjs';
import { ensureBuilt } from '../scripts/prepare.mjs';

const RUNS = 5;
const QUERIES = [
  'create an issue',
  'list pull requests',
  'GET /repos/{owner}/{repo}',
  'repos/get',
  'delete a secret of an organization for actions',
  'user',
  'zebra',
  '',
];

/** @param {() => void} act @returns {{ wall: number, cpu: number }} milliseconds */
function timed(act) {
  const cpu = process.cpuUsage();
  const began = performance.now();
  act();
  const wall = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  return { wall, cpu: (user + system) / 1000 };
}

const heap = () => {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1_048_576;
};

async function run() {
  const { parseDescription } = await import('../dist/toolkits/api/openapi/index.js');
  const text = readFileSync(join(DESCRIPTIONS, 'api.github.com.json'), 'utf8');
  const before = heap();
  /** @type {ReturnType<typeof parseDescription> | undefined} */
  let parsed;
  const load = timed(() => {
    parsed = parseDescription(text, { base_url: 'https://api.github.com' });
  });
  if (!parsed?.ok) throw new Error('The description cannot be read.');
  const { description } = parsed;
  const megabytes = heap() - before;
  const searches = [...QUERIES, ...QUERIES, ...QUERIES].map((query) =>
    timed(() => void description.search(query, { limit: 50 })),
  );
  process.stdout.write(JSON.stringify({ load, megabytes, searches }));
}

/** @param {number[]} values @param {number} share */
const at = (values, share) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? 0;
/** @param {number} value */
const shown = (value) => value.toFixed(1);

function main() {
  ensureBuilt();
  ensureDescriptions();
  const file = fileURLToPath(import.meta.url);
  console.log(
    '| | load ms | load CPU ms | heap MB | first search ms | its CPU ms | p50 ms | max ms | max CPU ms | load of the machine |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  for (let index = 1; index <= RUNS; index += 1) {
    const { stdout, status } = spawnSync(process.execPath, ['--expose-gc', file, '--one'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`A run failed with status ${status}.`);
    const { load, megabytes, searches } =
      /** @type {{ load: { wall: number, cpu: number }, megabytes: number, searches: { wall: number, cpu: number }[] }} */ (
        JSON.parse(stdout)
      );
    const walls = searches.map(({ wall }) => wall);
    const cpus = searches.map(({ cpu }) => cpu);
    const [first] = searches;
    const figures = [
      load.wall,
      load.cpu,
      megabytes,
      first?.wall ?? 0,
      first?.cpu ?? 0,
      at(walls, 0.5),
      at(walls, 1),
      at(cpus, 1),
    ];
    console.log(`| ${[index, ...figures.map(shown), shown(loadavg()[0] ?? 0)].join(' | ')} |`);
  }
}

if (process.argv.includes('--one')) await run();
else main();
