// Makes the prepared database image that a first start unpacks instead of running initdb: `npm run build` runs this
// after the compiler. Usage: node scripts/build-image.mjs [file]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = new URL('../dist/db/embedded/', import.meta.url);
const { EmbeddedEngine } = await import(new URL('engine.js', dist).href);
const { packImage } = await import(new URL('image.js', dist).href);

const target = process.argv[2] ?? fileURLToPath(new URL('../dist/database-image.gz', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'mcp-data-platform-image-'));
try {
  await EmbeddedEngine.initialise(directory);
  const { bytes } = packImage(directory, target);
  console.log(`database image: ${(bytes / 1024 / 1024).toFixed(1)} MB`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
