// npm test [-- options]: installs what the product, the demo and the tests need, builds, and runs every test.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { ensureDescriptions } from './descriptions.mjs';
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from './prepare.mjs';

requireNode();
ensureInstalled();
ensureInstalled('examples/demo');
ensureInstalled('tests/tools');
ensureDescriptions();
ensureBuilt();
const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const { status } = spawnSync(process.execPath, [vitest, 'run', ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exit(status ?? 1);
