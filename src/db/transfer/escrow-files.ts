import { readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../core/errors.ts';
import { createDurably, errorCode, makeDirectory, syncDirectory } from '../durable-file.ts';
import { ESCROW_FOLDER, isEscrowFile } from '../escrow.ts';
import { boxKeyId } from '../secret-box.ts';
import { isJson } from './values.ts';

/** A reply that the database has not confirmed: as encrypted as it lies on the disk. */
export type EscrowFile = { name: string; content: string };

/** What the drain does not read: it becomes an escrow file once the rows are committed that it belongs to. */
const WAITING = '.import';

const folderOf = (dataDir: string) => join(dataDir, ESCROW_FOLDER);

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

export async function readEscrowFiles(dataDir: string): Promise<EscrowFile[]> {
  const directory = folderOf(dataDir);
  const files: EscrowFile[] = [];
  for (const name of (await namesIn(directory)).filter(isEscrowFile).sort()) {
    const content = await readFile(join(directory, name), 'utf8').catch((error: unknown) => {
      // Confirmed and cleared since the directory was read.
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    // Of a write that never ended, the half is left out.
    if (content !== undefined && isJson(content)) files.push({ name, content });
  }
  return files;
}

/** The id of the key that a reply is encrypted with: it stands open at the beginning of the box. */
export function keyIdOfEscrow({ content }: EscrowFile): string | undefined {
  const envelope = JSON.parse(content) as { box?: unknown } | null;
  return typeof envelope?.box === 'string' ? boxKeyId(Buffer.from(envelope.box, 'base64')) : undefined;
}

/**
 * The escrow of the target may hold no reply that the file does not know: it was received after the export, its token is
 * the successor of one in the file, and the imported rows would drop it.
 */
export async function refuseNewerEscrow(dataDir: string, known: readonly EscrowFile[]): Promise<void> {
  const contents = new Map(known.map(({ name, content }) => [name, content]));
  const newer = (await readEscrowFiles(dataDir)).filter(({ name, content }) => contents.get(name) !== content);
  if (newer.length === 0) return;
  throw new AppError(
    'conflict',
    `${folderOf(dataDir)} holds replies of identity providers (${newer.length}) that are not in the file: they ` +
      'came after the export. Export again from the server that received them, or import into another --data-dir.',
  );
}

/**
 * Ends an import that was killed: its rows are there, and its escrow gets the names that the drain reads; or they are not,
 * and the file that was to be imported still holds it.
 */
export async function settleWaitingEscrow(dataDir: string, hasRows: () => Promise<boolean>): Promise<void> {
  const directory = folderOf(dataDir);
  const names = await namesIn(directory);
  const waiting = names.filter((name) => name.endsWith(WAITING) && isEscrowFile(name.slice(0, -WAITING.length)));
  if (waiting.length === 0) return;
  const imported = await hasRows();
  for (const name of waiting) {
    if (imported) await rename(join(directory, name), join(directory, name.slice(0, -WAITING.length)));
    else await unlink(join(directory, name));
  }
  await syncDirectory(directory);
}

/** Brings the files to the disk under names that nobody reads yet; `appear` gives them their own. */
export async function placeEscrow(dataDir: string, files: readonly EscrowFile[], unique: string) {
  const directory = folderOf(dataDir);
  if (files.length > 0) await makeDirectory(directory);
  for (const { name, content } of files) {
    await unlink(join(directory, name + WAITING)).catch(() => undefined);
    await createDurably(directory, name + WAITING, `.${name}.${unique}`, content);
  }
  return {
    async appear(): Promise<void> {
      for (const { name } of files) await rename(join(directory, name + WAITING), join(directory, name));
      if (files.length > 0) await syncDirectory(directory);
    },
    async remove(): Promise<void> {
      for (const { name } of files) await unlink(join(directory, name + WAITING)).catch(() => undefined);
    },
  };
}
