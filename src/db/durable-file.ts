import { close, fsync, open as openFile, writeFile } from 'node:fs';
import { link, mkdir, rename, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** Secrets lie in these files: for their owner alone. */
export const FILE_MODE = 0o600;
export const DIRECTORY_MODE = 0o700;

export function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** By descriptor: a handle of `fs/promises` costs more than the call that it is opened for. */
const files = {
  open: promisify(openFile),
  write: promisify(writeFile),
  sync: promisify(fsync),
  close: promisify(close),
};

/** Makes a rename or an unlink outlive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open a directory; NTFS journals its entries.
  if (process.platform === 'win32') return;
  const handle = await files.open(directory, 'r');
  try {
    await files.sync(handle);
  } finally {
    await files.close(handle);
  }
}

/**
 * `syncDirectory` of one directory for many at once: whoever asks while a sync is under way shares the next one, which
 * begins after the asking, and so brings every entry to the disk that was changed before.
 */
export function sharedDirectorySync(directory: string, sync = syncDirectory): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const start = (): Promise<void> => {
    const run = sync(directory).finally(() => {
      if (running === run) running = undefined;
    });
    running = run;
    return run;
  };
  return () => {
    if (!running) return start();
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return start();
      });
    return next;
  };
}

/** Each new entry is synced in its parent: a file is no more durable than the way to it. */
export async function makeDirectory(directory: string): Promise<void> {
  const first = await mkdir(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (first === undefined) return;
  for (let made = resolve(directory); made.length >= resolve(first).length; made = dirname(made)) {
    await syncDirectory(dirname(made));
  }
}

async function writeSynced(path: string, content: string): Promise<void> {
  const file = await files.open(path, 'w', FILE_MODE);
  try {
    await files.write(file, content);
    await files.sync(file);
  } finally {
    await files.close(file);
  }
}

/**
 * Resolves once `directory/name` is durable with exactly this content: file synced, renamed, directory synced.
 * @param sync brings the directory's entries to the disk, for this caller alone or for several
 */
export async function replaceDurably(
  directory: string,
  name: string,
  temporary: string,
  content: string,
  sync: () => Promise<void> = () => syncDirectory(directory),
) {
  await writeSynced(join(directory, temporary), content);
  await rename(join(directory, temporary), join(directory, name));
  await sync();
}

/**
 * Like `replaceDurably`, but never over a file that is there: of two processes that start together, one creates it.
 * @returns whether it was this call.
 */
export async function createDurably(directory: string, name: string, temporary: string, content: string) {
  const temporaryPath = join(directory, temporary);
  await writeSynced(temporaryPath, content);
  try {
    await link(temporaryPath, join(directory, name));
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(temporaryPath);
  }
  await syncDirectory(directory);
  return true;
}
