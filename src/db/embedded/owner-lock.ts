import * as fs from 'node:fs';
import * as path from 'node:path';
import { AppError } from '../../core/errors.ts';
import { type HeldLock, lockFileOf, lockWhileOpening, lockWithProgram, lockWithSocket } from './directory-lock.ts';
import { refuseSharedFileSystem } from './file-system-kind.ts';
import { ownPlace, readOwnerPlace, removeOwnerRecord } from './owner-file.ts';
import { syncPath } from './sync.js';

export type Ownership = { owned: true; release(): Promise<void> } | { owned: false };

/** Directories of this process, by their real path: the engine opens no other. */
const ownedHere = new Set<string>();

/**
 * Makes this process the one owner of a data directory, or says that another one is. The lock is the operating
 * system's and ends with the process, so that neither a crash nor a `kill -9` leaves anything to clean up and two
 * processes can never both believe in it.
 * @throws AppError `data_dir` when the directory cannot be used at all.
 */
export async function acquireOwnership(dataDir: string): Promise<Ownership> {
  const realPath = openDirectory(dataDir);
  refuseSharedFileSystem(realPath);
  const locks = await takeLocks(dataDir, realPath);
  if (locks === undefined) return { owned: false };
  ownedHere.add(realPath);
  let released = false;
  const release = async (): Promise<void> => {
    if (released) return;
    released = true;
    removeOwnerRecord(realPath);
    ownedHere.delete(realPath);
    await releaseAll(locks);
  };
  return { owned: true, release };
}

export function isOwnedHere(dataDir: string): boolean {
  return fs.existsSync(dataDir) && ownedHere.has(fs.realpathSync(dataDir));
}

/** One by one: asked to do it at once, Node turns in circles where a pseudo file system answers ENOENT for ever. */
function makeMissing(directory: string): void {
  if (fs.existsSync(directory)) return;
  makeMissing(path.dirname(directory));
  try {
    fs.mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  syncEntry(path.dirname(directory));
}

/** What is written below is no more durable than the way to it. */
function syncEntry(parent: string): void {
  try {
    syncPath(parent, 'r');
  } catch (error) {
    // One may be allowed to make entries in a directory that one may not read, and so not open.
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
  }
}

function openDirectory(dataDir: string): string {
  try {
    makeMissing(path.resolve(dataDir));
    fs.closeSync(fs.openSync(lockFileOf(dataDir), 'a', 0o600));
    return fs.realpathSync(dataDir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Windows: the owner has the lock file open and shares it with nobody.
    if (process.platform === 'win32' && code === 'EBUSY') return fs.realpathSync(dataDir);
    throw new AppError(
      'data_dir',
      `The data directory ${dataDir} cannot be written (${code ?? 'unknown reason'}). Make it writable for this user, ` +
        'or choose another --data-dir.',
    );
  }
}

async function takeLocks(dataDir: string, realPath: string): Promise<HeldLock[] | undefined> {
  const file = lockFileOf(realPath);
  if (process.platform !== 'linux') {
    const attempt = lockWhileOpening(file, process.platform);
    if (attempt.outcome === 'unsupported') throw cannotLock(dataDir);
    return attempt.outcome === 'held' ? [attempt.lock] : undefined;
  }
  // Both, always: a process that finds no `flock` program must still meet one that did.
  const socket = await lockWithSocket(realPath);
  if (socket.outcome === 'taken') return undefined;
  const held = socket.outcome === 'held' ? [socket.lock] : [];
  const program = lockWithProgram(file);
  if (program.outcome === 'held') return [...held, program.lock];
  const refusal = program.outcome === 'taken' ? undefined : whySocketIsNotEnough(dataDir, held.length > 0);
  if (program.outcome === 'unsupported' && refusal === undefined) return held;
  await releaseAll(held);
  if (refusal !== undefined) throw refusal;
  return undefined;
}

/** Without `flock`, an owner in another network namespace is invisible: its record is all the evidence there is. */
function whySocketIsNotEnough(dataDir: string, socketHeld: boolean): AppError | undefined {
  if (!socketHeld) return cannotLock(dataDir);
  const owner = readOwnerPlace(dataDir);
  const here = ownPlace();
  if (owner === undefined || owner.boot_id !== here.boot_id) return undefined;
  if (owner.network_namespace === here.network_namespace) return undefined;
  return new AppError(
    'data_dir',
    `The data directory ${dataDir} was last owned from another container, and without the program \`flock\` it cannot ` +
      'be told whether that one still runs. Install `flock` (util-linux), or stop the other one and remove owner.json.',
  );
}

function cannotLock(dataDir: string): AppError {
  return new AppError(
    'data_dir',
    `The data directory ${dataDir} cannot be locked on this system. Choose a --data-dir on a local disk (on Linux, ` +
      'install `flock` of util-linux), or set DATABASE_URL.',
  );
}

async function releaseAll(locks: readonly HeldLock[]): Promise<void> {
  for (const lock of locks) await lock.release();
}
