// npm start [-- options]: installs and builds when needed, then serves over HTTP. Options go to the server.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from './prepare.mjs';

requireNode();
ensureInstalled();
ensureBuilt();
const options = process.argv.slice(2);
if (options.includes('--demo')) ensureInstalled('examples/demo');

const server = spawn(process.execPath, [join(ROOT, 'dist', 'cli.js'), '--transport', 'http', ...options], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => server.kill(/** @type {NodeJS.Signals} */ (signal)));
}
server.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
