import * as fs from 'node:fs';
import * as path from 'node:path';
import { AppError } from '../../core/errors.ts';
import { EmbeddedEngine } from './engine.ts';
import { ENGINE, ENGINE_FILE, engineLine } from './engine-version.ts';
import { readImage, unpackImage } from './image.ts';
import { syncPath } from './sync.js';

/** The database below the data directory. */
export const DATABASE_FOLDER = 'database';
const UNFINISHED_PREFIX = 'database.new-';

export type Preparation = 'existing' | 'image' | 'initdb';
export type PreparedEngine = { engine: EmbeddedEngine; preparation: Preparation };

/**
 * Makes sure that a database lies in the data directory, which this process owns. A new one grows in a sibling folder,
 * is brought to the disk and renamed into place, so that a crash half-way leaves nothing half-made.
 */
export async function prepareDatabase(dataDir: string, imagePath?: string): Promise<Preparation> {
  removeUnfinished(dataDir);
  const database = path.join(dataDir, DATABASE_FOLDER);
  if (fs.existsSync(database) && fs.readdirSync(database).length > 0) {
    refuseForeignEngine(dataDir, database);
    // A start that was killed between its rename and this sync, or a key created just before: what is about to be
    // acknowledged must not rest on an entry that a power cut still takes back.
    syncPath(dataDir, 'r');
    return 'existing';
  }
  const unfinished = fs.mkdtempSync(path.join(dataDir, UNFINISHED_PREFIX));
  const image = imagePath === undefined ? undefined : readImage(imagePath);
  if (image === undefined) {
    await EmbeddedEngine.initialise(unfinished);
  } else {
    await unpackImage(image, unfinished);
  }
  fs.rmSync(database, { recursive: true, force: true });
  fs.renameSync(unfinished, database);
  syncPath(dataDir, 'r');
  return image === undefined ? 'initdb' : 'image';
}

/**
 * Prepares the database and opens it. It needs nothing but the directory, so that it can run while the rest of the
 * server is still being loaded. The caller owns the directory.
 */
export async function openPrepared(
  dataDir: string,
  imagePath?: string,
  onLost?: (error: AppError) => void,
): Promise<PreparedEngine> {
  const preparing = prepareDatabase(dataDir, imagePath);
  const engine = await EmbeddedEngine.open(
    preparing.then(() => path.join(dataDir, DATABASE_FOLDER)),
    onLost,
  );
  return { engine, preparation: await preparing };
}

function removeUnfinished(dataDir: string): void {
  for (const name of fs.readdirSync(dataDir)) {
    if (name.startsWith(UNFINISHED_PREFIX)) fs.rmSync(path.join(dataDir, name), { recursive: true, force: true });
  }
}

function refuseForeignEngine(dataDir: string, database: string): void {
  const major = readText(path.join(database, 'PG_VERSION'))?.trim();
  if (major === undefined) {
    throw new AppError(
      'data_dir',
      `${database} is not a database of this server and not empty. Move it away, or choose another --data-dir.`,
    );
  }
  if (!/^\d+$/.test(major)) {
    throw new AppError(
      'data_dir',
      `The database in ${database} is damaged: its PG_VERSION names no version. Restore it from a backup, or move it away.`,
    );
  }
  const pglite = readMarker(database) ?? ENGINE.pglite;
  if (major === ENGINE.postgres_major && engineLine(pglite) === engineLine(ENGINE.pglite)) return;
  throw new AppError(
    'data_dir',
    `The database in ${database} was made by PostgreSQL ${major} (PGlite ${engineLine(pglite)}); this version of the ` +
      `server reads PostgreSQL ${ENGINE.postgres_major} (PGlite ${engineLine(ENGINE.pglite)}). With the version that made ` +
      `it run "mcp-data-platform export FILE --data-dir ${dataDir}", move ${database} away, and with this version run ` +
      `"mcp-data-platform import FILE --data-dir ${dataDir}".`,
  );
}

function readMarker(database: string): string | undefined {
  try {
    const marker: unknown = JSON.parse(readText(path.join(database, ENGINE_FILE)) ?? '{}');
    if (typeof marker !== 'object' || marker === null || !('pglite' in marker)) return undefined;
    return typeof marker.pglite === 'string' ? marker.pglite : undefined;
  } catch {
    return undefined;
  }
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
