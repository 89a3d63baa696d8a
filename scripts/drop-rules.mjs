// npm run drop-rules [-- options of vitest]: plays the traces of the refresh protocol, takes each rule out of a copy of the
// source, and prints what its traces then show. Exits with 1 when a trace fails with every rule, or stands without its own.
import { row } from './docs-pages.mjs';
import { ensureInstalled, requireNode } from './prepare.mjs';
import { runReporting } from './vitest-report.mjs';

/** @typedef {{ rules: string, without: string, trace: string, said: string | null, comes_back: boolean }} Played */

requireNode();
ensureInstalled();
ensureInstalled('tests/tools');
const { rows, status } = runReporting('DROP_RULES_REPORT', ['tests/traces', ...process.argv.slice(2)]);
/** @type {Played[]} */
const played = rows;
process.stdout.write(`\n${row(['dropped', 'the copy', 'trace', 'what it says'])}|---|---|---|---|\n`);
for (const { rules, without, trace, said } of played) {
  const [first = ''] = (said ?? '**nothing: it stands without the rule**').split('\n');
  process.stdout.write(row([rules, without, trace, first.replaceAll('|', '\\|')]));
}
const standing = played.filter(({ comes_back }) => !comes_back).length;
process.stdout.write(`\nplayed without a rule: ${played.length}\nnot as the table says: ${standing}\n`);
process.exitCode = standing > 0 || played.length === 0 ? 1 : status;
