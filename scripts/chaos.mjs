// npm run chaos [-- options of vitest]: kills, cuts and races real processes of the product, asks the identity provider
// what is left, and prints a table. CHAOS_RUNS says how often each case is repeated (3).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from './prepare.mjs';

/** @typedef {{ case: string, end: 'saved' | 'announced' | 'ended' | 'lost', how: string, presentations: number, repeats: number, violations: string[] }} Row */

requireNode();
ensureInstalled();
ensureInstalled('examples/demo');
ensureInstalled('tests/tools');
ensureBuilt();
const folder = mkdtempSync(join(tmpdir(), 'mdp-chaos-'));
const report = join(folder, 'rows');
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const args = ['run', '--config', 'vitest.chaos.config.ts', ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, [vitest, ...args], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, CHAOS_REPORT: report },
});
/** @type {Row[]} */
const rows = existsSync(report)
  ? readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  : [];
rmSync(folder, { recursive: true, force: true });
const lost = print(rows);
process.exit(lost > 0 || rows.length === 0 ? 1 : (status ?? 1));

/** @param {Row[]} all @returns {number} tokens lost */
function print(all) {
  const cases = new Map();
  for (const row of all) cases.set(row.case, [...(cases.get(row.case) ?? []), row]);
  console.log('\n| case | runs | presentations | repeats | what became of it | not savable, announced | tokens lost |');
  console.log('|---|---|---|---|---|---|---|');
  for (const [name, /** @type {Row[]} */ of] of [...cases].sort(([a], [b]) => a.localeCompare(b))) {
    const sum = (/** @type {(row: Row) => number} */ count) =>
      of.reduce((/** @type {number} */ total, /** @type {Row} */ row) => total + count(row), 0);
    const ends = (/** @type {Row['end']} */ end) => sum((row) => Number(row.end === end));
    const cells = [name, of.length, sum((row) => row.presentations), sum((row) => row.repeats), tally(of)];
    console.log(`| ${[...cells, ends('announced'), ends('lost')].join(' | ')} |`);
  }
  const count = (/** @type {Row['end']} */ end) => all.filter((row) => row.end === end).length;
  console.log(`\nruns: ${all.length}`);
  console.log(`saved: ${count('saved')}`);
  console.log(`ended by a person at the provider, and told so: ${count('ended')}`);
  console.log(`not savable (rotated, the reply never reached the escrow), each announced: ${count('announced')}`);
  console.log(`tokens lost: ${count('lost')}`);
  return count('lost');
}

/** @param {Row[]} rows */
function tally(rows) {
  const counts = new Map();
  for (const { how } of rows) counts.set(how, (counts.get(how) ?? 0) + 1);
  return [...counts].map(([how, times]) => `${how} ${times}`).join(', ');
}
