import { link, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** Secrets lie in these files: for their owner alone. */
export const FILE_MODE = 0o600;
export const DIRECTORY_MODE = 0o700;

export function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** Makes a rename or an unlink outlive a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  // Windows cannot open a directory; NTFS journals its entries.
  if (process.platform === 'win32') return;
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
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
  const handle = await open(path, 'w', FILE_MODE);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Resolves once `directory/name` is durable with exactly this content: file synced, renamed, directory synced. */
export async function replaceDurably(directory: string, name: string, temporary: string, content: string) {
  await writeSynced(join(directory, temporary), content);
  await rename(join(directory, temporary), join(directory, name));
  await syncDirectory(directory);
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
