// Copies of the built server: one whose first start has no image, and some whose syncs were taken out.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureBuilt, ensureInstalled, ROOT, requireNode } from '../../scripts/prepare.mjs';

/** @typedef {{ file: string, sync: string }} Patch */

/**
 * For each part, the syncs that its copy lacks. The engine's copy still counts them, so that its own check at the start
 * does not save it.
 * @type {{ part: string, patches: Patch[] }[]}
 */
const WITHOUT_SYNCS = [
  {
    part: 'engine',
    patches: [{ file: 'db/embedded/durable-file-system.js', sync: 'fs.fsyncSync(descriptor);' }],
  },
  {
    part: 'image',
    patches: [
      { file: 'db/embedded/image.js', sync: 'await handle.sync();' },
      { file: 'db/embedded/sync.js', sync: 'fs.fsyncSync(descriptor);' },
    ],
  },
  {
    part: 'escrow and keys',
    patches: [
      { file: 'db/durable-file.js', sync: 'await files.sync(file);' },
      { file: 'db/durable-file.js', sync: 'await files.sync(handle);' },
    ],
  },
];

/** @param {string} file @param {string} sync */
function takeOut(file, sync) {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(sync)) throw new Error(`${file} no longer contains «${sync}»: mend tests/power-loss/copies.mjs`);
  writeFileSync(file, text.replaceAll(sync, ''));
}

export function prepare() {
  requireNode();
  ensureInstalled();
  ensureBuilt();
  const root = mkdtempSync(join(tmpdir(), 'mcp-data-platform-copies-'));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  /** @param {string} name */
  const copy = (name) => {
    const home = join(root, name);
    mkdirSync(home);
    cpSync(join(ROOT, 'package.json'), join(home, 'package.json'));
    cpSync(join(ROOT, 'dist'), join(home, 'dist'), { recursive: true });
    return join(home, 'dist');
  };
  const withoutImage = copy('without-image');
  rmSync(join(withoutImage, 'database-image.gz'));
  const withoutSyncs = WITHOUT_SYNCS.map(({ part, patches }, index) => {
    const dist = copy(`without-syncs-${index}`);
    for (const { file, sync } of patches) takeOut(join(dist, file), sync);
    return { part, dist };
  });
  return {
    whole: join(ROOT, 'dist'),
    withoutImage,
    withoutSyncs,
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
