// npm run simulate [-- options]: plays seeded schedules of faults against the token protocol; see tests/simulation.
import { join } from 'node:path';
import { runnerImport } from 'vite';
import { ensureInstalled, ROOT, requireNode } from './prepare.mjs';

requireNode();
ensureInstalled();
const { module } = await runnerImport(join(ROOT, 'tests/simulation/command.ts'), { root: ROOT, configFile: false });
let code = 2;
try {
  code = await module.main(process.argv.slice(2), console.log);
} catch (error) {
  console.error(error instanceof TypeError ? error.message : error);
}
// What goes into a pipe is written when it is read.
process.stdout.write('', () => process.exit(code));
