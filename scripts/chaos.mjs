// npm run chaos [-- options of vitest]: kills, cuts and races real processes of the product, asks the identity provider
// what is left, and prints a table. CHAOS_RUNS says how often each case is repeated (3).
import { ensureBuilt, ensureInstalled, requireNode } from './prepare.mjs';
import { runReporting } from './vitest-report.mjs';

/** @typedef {{ case: string, end: 'saved' | 'announced' | 'ended' | 'lost', how: string, presentations: number, repeats: number, violations: string[] }} Row */

requireNode();
ensureInstalled();
ensureInstalled('examples/demo');
ensureInstalled('tests/tools');
ensureBuilt();
const args = ['--config', 'vitest.chaos.config.ts', ...process.argv.slice(2)];
const { rows, status } = runReporting('CHAOS_REPORT', args);
const lost = print(rows);
process.exit(lost > 0 || rows.length === 0 ? 1 : status);

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
