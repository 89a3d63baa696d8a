// npm run check: formatter, linters (with static security rules) and types, each from a fresh clone.
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, ROOT, requireNode, run } from './prepare.mjs';

requireNode();
ensureInstalled();
ensureInstalled('lint');
// The benches are checked against what is built.
ensureBuilt();

/** @param {string} script @param {string[]} args */
const node = (script, ...args) => run(process.execPath, [join(ROOT, script), ...args]);
node('node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.');
node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json');
node('node_modules/typescript/bin/tsc', '-p', 'portal');
node('lint/node_modules/eslint/bin/eslint.js', '--config', 'lint/eslint.config.js', '--max-warnings', '0', '.');
