// npm run conformance [-- options of vitest]: runs the official conformance suite against our fixture server, by itself
// and through the gateway, for both required sets, and prints what it says. Exits with 1 unless all of them hold.
import { ensureBuilt, ensureInstalled, requireNode } from './prepare.mjs';
import { runReporting } from './vitest-report.mjs';

/** @typedef {{ target: string, revision: string, code: number | string, name: string, scored: boolean, passed: number, failed: string[] }} Row */

requireNode();
ensureInstalled();
ensureInstalled('examples/demo');
ensureInstalled('tests/tools');
ensureBuilt();
const { rows, status } = runReporting('CONFORMANCE_REPORT', ['tests/conformance', ...process.argv.slice(2)]);
/** @type {Map<string, Row[]>} */
const runs = new Map();
for (const /** @type {Row} */ row of rows) {
  const key = `${row.target} | ${row.revision}`;
  runs.set(key, [...(runs.get(key) ?? []), row]);
}
console.log(
  '\n| server | revision | required scenarios | held | exit code | unscored that fail |\n|---|---|---|---|---|---|',
);
for (const [key, all] of runs) {
  const scored = all.filter((row) => row.scored);
  const held = scored.filter((row) => row.failed.length === 0).length;
  const failing = all.filter((row) => !row.scored && row.failed.length > 0).map(({ name }) => name);
  console.log(`| ${key} | ${scored.length} | ${held} | ${all[0]?.code} | ${failing.join(', ') || '–'} |`);
}
const missed = rows.filter(
  (/** @type {Row} */ row) => row.failed.length > 0 && row.target.startsWith('through the gateway'),
);
for (const { target, revision, name, scored, failed } of missed) {
  console.log(`\n${scored ? 'REQUIRED' : 'unscored'} ${name} (${revision}), ${target}:`);
  for (const line of failed) console.log(`  ${line.split('\n')[0]}`);
}
process.exitCode = rows.length === 0 ? 1 : status;
