// npm run drop-rules [-- options of vitest]: plays the traces of the refresh protocol, takes each rule out of a copy of the
// source, and prints what its traces then show. Exits with 1 when a trace fails with every rule, or stands without its own.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { row } from './docs-pages.mjs';
import { ensureInstalled, ROOT, requireNode } from './prepare.mjs';

/** @typedef {{ rules: string, without: string, trace: string, said: string | null, comes_back: boolean }} Played */

requireNode();
ensureInstalled();
ensureInstalled('tests/tools');
const folder = mkdtempSync(join(tmpdir(), 'mdp-drop-rules-'));
const report = join(folder, 'rows');
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', 'tests/traces', ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, DROP_RULES_REPORT: report },
});
/** @type {Played[]} */
const played = existsSync(report)
  ? readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  : [];
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`\n${row(['dropped', 'the copy', 'trace', 'what it says'])}|---|---|---|---|\n`);
for (const { rules, without, trace, said } of played) {
  const [first = ''] = (said ?? '**nothing: it stands without the rule**').split('\n');
  process.stdout.write(row([rules, without, trace, first.replaceAll('|', '\\|')]));
}
const standing = played.filter(({ comes_back }) => !comes_back).length;
process.stdout.write(`\nplayed without a rule: ${played.length}\nnot as the table says: ${standing}\n`);
process.exitCode = standing > 0 || played.length === 0 ? 1 : (status ?? 1);
