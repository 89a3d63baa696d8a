import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { EmbeddedEngine } from '../../src/db/embedded/engine.ts';
import { ENGINE } from '../../src/db/embedded/engine-version.ts';
import { packImage, readImage } from '../../src/db/embedded/image.ts';
import { startPostgres } from '../tools/postgres.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A throwaway server for this run; make a database of your own in it. */
    postgresUrl: string;
    /** A prepared image of the embedded engine, so that a fresh directory costs a second and not six. */
    databaseImage: string;
  }
}

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/mcp-data-platform/', import.meta.url));

/** Global setup of vitest: one PostgreSQL and one database image for the whole run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await startPostgres();
  try {
    project.provide('postgresUrl', server.url);
    project.provide('databaseImage', await ensureImage());
  } catch (error) {
    await server.stop();
    throw error;
  }
  return () => server.stop();
}

async function ensureImage(): Promise<string> {
  // What initdb makes follows from the engine and from what we do to it.
  const recipe = readFileSync(new URL('../../src/db/embedded/worker.js', import.meta.url));
  const digest = createHash('sha256').update(recipe).digest('hex').slice(0, 8);
  const image = join(CACHE, `database-image-${ENGINE.pglite}-${digest}.gz`);
  if (readImage(image) !== undefined) return image;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'new-'));
  try {
    const directory = join(work, 'database');
    mkdirSync(directory);
    await EmbeddedEngine.initialise(directory);
    packImage(directory, join(work, 'image'));
    renameSync(join(work, 'image'), image);
    renameSync(join(work, 'image.json'), `${image}.json`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return image;
}
