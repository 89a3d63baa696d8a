// Makes the prepared, migrated database image that a first start unpacks instead of running initdb: `npm run build` runs
// this after the compiler. Usage: node scripts/build-image.mjs [file]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @param {string} file */
const built = (file) => import(new URL(`../dist/${file}`, import.meta.url).href);
const { systemClock, systemRandom } = await built('clock.js');
const { packImage } = await built('db/embedded/image.js');
const { migrate } = await built('db/migrate.js');
const { migrations } = await built('db/migrations/index.js');
const { openDatabase } = await built('db/open.js');

const target = process.argv[2] ?? fileURLToPath(new URL('../dist/database-image.gz', import.meta.url));
const dataDir = mkdtempSync(join(tmpdir(), 'mcp-data-platform-image-'));
const nothing = () => {};
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
try {
  const opened = await openDatabase({ dataDir, log, clock: systemClock, random: systemRandom });
  await migrate(opened.db, { migrations, log });
  await opened.close();
  const { bytes } = packImage(join(dataDir, 'database'), target);
  console.error(`database image: ${(bytes / 1024 / 1024).toFixed(1)} MB`);
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
