// npm run bench:api-descriptions: how long GitHub's description takes to load, and a search in it, the very first one included,
// each run in a process of its own. With --blocking: how long others wait while the largest one is read. See bench/README.md.
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

const MAX_CHARACTERS = 33_554_432;

/** GitHub's paths over and over, under other names, up to the most that is taken. */
function largest() {
  const document = /** @type {{ paths: Record<string, object> }} */ (
    JSON.parse(readFileSync(join(DESCRIPTIONS, 'api.github.com.json'), 'utf8'))
  );
  const added = Object.entries(document.paths);
  const sizes = added.map(([path, item]) => JSON.stringify({ [path]: item }).length + 6);
  let size = JSON.stringify(document).length;
  for (let index = 0; size + (sizes[index % added.length] ?? 0) < MAX_CHARACTERS; index += 1) {
    const [path, item] = added[index % added.length] ?? ['', {}];
    document.paths[`/${Math.floor(index / added.length)}${path}`] = item;
    size += sizes[index % added.length] ?? 0;
  }
  return JSON.stringify(document);
}

/** The longest time between two turns of the event loop, by two ways of reading the same text. */
async function block() {
  const { createDescriptionReader } = await import('../dist/toolkits/api/openapi/description-reader.js');
  const { parseDescription } = await import('../dist/toolkits/api/openapi/index.js');
  const { systemClock } = await import('../dist/clock.js');
  const text = largest();
  const options = { base_url: 'https://api.github.com' };
  const reader = createDescriptionReader();
  /** @param {() => unknown} read */
  const watched = async (read) => {
    let last = performance.now();
    let longest = 0;
    let over = false;
    const look = () => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      if (!over) setImmediate(look);
    };
    setImmediate(look);
    const began = performance.now();
    await read();
    const total = performance.now() - began;
    over = true;
    await new Promise((resolve) => setImmediate(resolve));
    return { total, longest };
  };
  const whole = await watched(() => parseDescription(text, options));
  const sliced = await watched(() => reader(text, options, systemClock));
  process.stdout.write(JSON.stringify({ megabytes: text.length / 1_048_576, whole, sliced }));
}

/** @param {string} flag */
function inProcess(flag) {
  const file = fileURLToPath(import.meta.url);
  const { stdout, status } = spawnSync(process.execPath, ['--expose-gc', file, flag], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`A run failed with status ${status}.`);
  return /** @type {unknown} */ (JSON.parse(stdout));
}

function blocking() {
  console.log(
    '| | MiB | at once: ms | longest block ms | as it is read: ms | longest block ms | load of the machine |',
  );
  console.log('|---|---|---|---|---|---|---|');
  for (let index = 1; index <= RUNS; index += 1) {
    const { megabytes, whole, sliced } =
      /** @type {{ megabytes: number, whole: { total: number, longest: number }, sliced: { total: number, longest: number } }} */ (
        inProcess('--block')
      );
    const figures = [megabytes, whole.total, whole.longest, sliced.total, sliced.longest, loadavg()[0] ?? 0];
    console.log(`| ${[index, ...figures.map(shown)].join(' | ')} |`);
  }
}

/** @param {number[]} values @param {number} share */
const at = (values, share) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? 0;
/** @param {number} value */
const shown = (value) => value.toFixed(1);

function main() {
  console.log(
    '| | load ms | load CPU ms | heap MB | first search ms | its CPU ms | p50 ms | max ms | max CPU ms | load of the machine |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  for (let index = 1; index <= RUNS; index += 1) {
    const { load, megabytes, searches } =
      /** @type {{ load: { wall: number, cpu: number }, megabytes: number, searches: { wall: number, cpu: number }[] }} */ (
        inProcess('--one')
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
else if (process.argv.includes('--block')) await block();
else {
  ensureBuilt();
  ensureDescriptions();
  if (process.argv.includes('--blocking')) blocking();
  else main();
}
