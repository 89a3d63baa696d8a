// npm run verify [-- base]: every gate but the mutation score, in the order of their cost.
import { join } from 'node:path';
import { ROOT, run } from './prepare.mjs';

/** @param {string} script @param {string[]} args */
const node = (script, ...args) => run(process.execPath, [join(ROOT, 'scripts', script), ...args]);
node('check.mjs');
// The thresholds of total coverage are in vitest.config.ts.
node('test.mjs', '--coverage');
node('changed-lines.mjs', ...process.argv.slice(2));
