import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './prepare.mjs';

/**
 * Runs tests that tell of what they played: a JSON line each, in the file that the variable names.
 * @param {string} variable
 * @param {string[]} args for `vitest run`
 * @returns {{ rows: any[], status: number }} `status` 1 also where vitest did not end by itself
 */
export function runReporting(variable, args) {
  const folder = mkdtempSync(join(tmpdir(), 'mdp-report-'));
  const report = join(folder, 'rows');
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  try {
    const { status } = spawnSync(process.execPath, [vitest, 'run', ...args], {
      cwd: ROOT,
      stdio: 'inherit',
      env: { ...process.env, [variable]: report },
    });
    const lines = existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n') : [];
    return { rows: lines.filter(Boolean).map((line) => JSON.parse(line)), status: status ?? 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
