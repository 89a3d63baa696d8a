// npm run power-loss [-- cuts [seed]]: cuts the power of a file system under the embedded engine, at random moments, and
// counts what it had acknowledged and then lost. Root and Linux only; see CONTRIBUTING.md.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { fail } from '../../scripts/prepare.mjs';
import { prepare } from './copies.mjs';
import { createDevice, refusal } from './device.mjs';
import { createLedger, enter, losses, owed } from './judgement.mjs';

const WRITER = fileURLToPath(new URL('./writer.mjs', import.meta.url));
const DEFAULT_CUTS = 30;
/** initdb takes many seconds: it gets this part of the cuts. */
const INITDB_SHARE = 6;
const NEGATIVE_CUTS = 3;
/** A cut among acknowledgements comes after so many lines, and up to so many more. */
const LINES_BEFORE_CUT = 3;
const LINES_SPREAD = 120;
/** Into the midst of whatever comes next. */
const LAST_WAIT_MS = 40;
const GIVE_UP_MS = 120_000;

/** @typedef {import('./judgement.mjs').Line} Line */
/** @typedef {'start' | 'write' | 'inspect' | 'serve'} Role */
/** @typedef {{ name: string, dist: string, role: 'start' | 'write', cuts: number, fresh: boolean, allLate?: boolean }} Scenario */
/** @typedef {{ scenario: string, cuts: number, early: number, acknowledged: number, lost: string[], refused: string[] }} Row */

/**
 * The same seed cuts after the same waits; what the processes had done by then is the machine's affair.
 * @param {number} seed mulberry32
 */
function createRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The process that an interrupt must take along. @type {import('node:child_process').ChildProcess | undefined} */
let running;

/** @param {string} dist @param {string} dataDir @param {Role} role */
function begin(dist, dataDir, role) {
  const child = spawn(process.execPath, [WRITER, dist, dataDir, role], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
  });
  running = child;
  let complaint = '';
  child.stderr.on('data', (/** @type {Buffer} */ text) => {
    complaint += text;
  });
  /** @type {Line[]} */
  const lines = [];
  const reader = createInterface({ input: child.stdout });
  /** @type {{ count: number, resolve: () => void }[]} */
  let waiting = [];
  const wake = (/** @type {number} */ count) => {
    for (const waiter of waiting) if (count >= waiter.count) waiter.resolve();
    waiting = waiting.filter((waiter) => count < waiter.count);
  };
  reader.on('line', (line) => {
    lines.push(JSON.parse(line));
    wake(lines.length);
  });
  child.on('close', () => wake(Number.POSITIVE_INFINITY));
  /** Resolves after so many lines, or when no more will come. @param {number} count @returns {Promise<void>} */
  const reaches = (count) =>
    new Promise((resolve) => {
      waiting.push({ count: child.exitCode === null ? count : 0, resolve });
      wake(child.exitCode === null ? lines.length : Number.POSITIVE_INFINITY);
    });
  /** @type {Promise<void>} */
  const ended = new Promise((resolve) => child.on('close', () => resolve()));
  return { child, lines, reaches, ended, complaint: () => complaint };
}

/** Runs a role to its end; its last line, or why there is none. @param {string} dist @param {string} dataDir @param {Role} role */
async function complete(dist, dataDir, role) {
  const run = begin(dist, dataDir, role);
  const timer = setTimeout(() => run.child.kill('SIGKILL'), GIVE_UP_MS);
  await run.ended;
  clearTimeout(timer);
  const line = run.lines.at(-1);
  const wanted = role === 'inspect' ? 'inspection' : 'served';
  return line?.type === wanted ? { line } : { complaint: reasonIn(run) };
}

/**
 * Every other cut comes among the acknowledgements, the ones between in the midst of the opening, which the late ones
 * measure.
 * @param {ReturnType<typeof begin>} run @param {boolean} late @param {number} opening_ms @param {() => number} random
 * @returns {Promise<number>} how long an opening takes
 */
async function untilTheMoment(run, late, opening_ms, random) {
  await run.reaches(1);
  const begun = performance.now();
  if (!late) {
    await sleep(random() * opening_ms);
    return opening_ms;
  }
  await run.reaches(2);
  const took = performance.now() - begun;
  await run.reaches(LINES_BEFORE_CUT + Math.floor(random() * LINES_SPREAD));
  await sleep(random() * LAST_WAIT_MS);
  return took;
}

/** @param {ReturnType<typeof begin>} run */
function reasonIn({ child, complaint, lines }) {
  const sentence = complaint()
    .split('\n')
    .find((line) => /^\w*Error: /.test(line));
  const end = child.signalCode ?? `exit ${child.exitCode}`;
  return sentence ?? `it ended without a word (${end}, after ${lines.map(({ type }) => type).join(', ') || 'nothing'})`;
}

/** @param {Scenario} scenario @param {() => number} random @returns {Promise<Row>} */
async function play(scenario, random) {
  const device = createDevice();
  const dataDir = join(device.mountPoint, 'data');
  /** @type {Row} */
  const row = { scenario: scenario.name, cuts: 0, early: 0, acknowledged: 0, lost: [], refused: [] };
  let ledger = createLedger();
  let opening_ms = 0;
  try {
    for (let cut = 0; cut < scenario.cuts; cut += 1) {
      if (scenario.fresh || cut === 0) {
        row.acknowledged += owed(ledger);
        ledger = createLedger();
        device.format();
      }
      device.mount(cut % 4 < 2 ? 'ordered' : 'writeback');
      const run = begin(scenario.dist, dataDir, scenario.role);
      opening_ms = await untilTheMoment(run, scenario.allLate === true || cut % 2 === 0, opening_ms, random);
      const done = device.cut();
      run.child.kill('SIGKILL');
      await run.ended;
      if (!done) throw new Error('the file system could not be cut');
      row.cuts += 1;
      if (run.lines.length < 2) row.early += 1;
      for (const line of run.lines) enter(ledger, line);
      device.unmount();
      device.mount('ordered');
      if (!(await judge(scenario, dataDir, ledger, row))) {
        device.format();
        ledger = createLedger();
      }
      device.unmount();
      process.stderr.write('.');
    }
    row.acknowledged += owed(ledger);
    return row;
  } finally {
    device.remove();
  }
}

/** @param {Scenario} scenario @param {string} dataDir @param {ReturnType<typeof createLedger>} ledger @param {Row} row */
async function judge(scenario, dataDir, ledger, row) {
  if (scenario.role === 'start') {
    const served = await complete(scenario.dist, dataDir, 'serve');
    if (served.line === undefined) return refuse(row, ledger, served.complaint);
  }
  const { line, complaint } = await complete(scenario.dist, dataDir, 'inspect');
  if (line === undefined) return refuse(row, ledger, complaint);
  const lost = losses(ledger, /** @type {any} */ (line));
  row.lost.push(...lost);
  return lost.length === 0;
}

/** @param {Row} row @param {ReturnType<typeof createLedger>} ledger @param {string} complaint */
function refuse(row, ledger, complaint) {
  row.refused.push(complaint);
  row.acknowledged += owed(ledger);
  return false;
}

/** @param {Row[]} rows */
function print(rows) {
  const table = rows.map(({ scenario, cuts, early, acknowledged, lost, refused }) => ({
    scenario,
    cuts,
    'cut while opening': early,
    acknowledged,
    lost: lost.length,
    'did not open': refused.length,
  }));
  console.table(table);
  for (const { scenario, lost, refused } of rows) {
    for (const sentence of [...lost, ...refused].slice(0, 3)) console.log(`  ${scenario}: ${sentence}`);
  }
}

/** @param {Row} row */
const isClean = (row) => row.lost.length === 0 && row.refused.length === 0;

async function main() {
  const cuts = Number(process.argv[2] ?? DEFAULT_CUTS);
  const seed = Number(process.argv[3] ?? randomInt(2 ** 31));
  if (!Number.isInteger(cuts) || cuts < 1 || !Number.isInteger(seed)) fail('npm run power-loss -- [cuts] [seed]');
  const reason = refusal();
  if (reason !== undefined) fail(reason);
  const copies = prepare();
  try {
    const random = createRandom(seed);
    console.error(`seed ${seed}`);
    const { whole, withoutImage, withoutSyncs } = copies;
    const startCuts = Math.ceil(cuts / 2);
    /** @type {Scenario[]} */
    const scenarios = [
      { name: 'first start, image', dist: whole, role: 'start', cuts: startCuts, fresh: true },
      {
        name: 'first start, initdb',
        dist: withoutImage,
        role: 'start',
        cuts: Math.ceil(cuts / INITDB_SHARE),
        fresh: true,
      },
      { name: 'writing, same directory', dist: whole, role: 'write', cuts, fresh: false },
    ];
    const rows = [];
    for (const scenario of scenarios) rows.push(await play(scenario, random));
    const negative = [];
    for (const { part, dist } of withoutSyncs) {
      const name = `without syncs: ${part}`;
      const role = part === 'image' ? 'start' : 'write';
      negative.push(await play({ name, dist, role, cuts: NEGATIVE_CUTS, fresh: true, allLate: true }, random));
    }
    console.log('\nThe server as it is:');
    print(rows);
    console.log('The proof that this test can fail: copies of the server whose syncs are taken out must lose rows.');
    print(negative);
    const blind = negative.filter(isClean);
    for (const row of blind) console.log(`${row.scenario}: lost nothing, so this test proves nothing`);
    const empty = rows.filter((row) => row.acknowledged === 0);
    for (const row of empty) console.log(`${row.scenario}: nothing was acknowledged, so nothing could be lost`);
    const good = rows.every(isClean) && blind.length === 0 && empty.length === 0;
    console.log(good ? 'acknowledged and lost: 0' : 'FAILED');
    process.exitCode = good ? 0 : 1;
  } finally {
    copies.remove();
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    running?.kill('SIGKILL');
    process.exit(130);
  });
}
await main();
