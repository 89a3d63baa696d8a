import { createHash } from 'node:crypto';
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AppError } from '../../core/errors.ts';
import { errorCode, FILE_MODE, syncDirectory } from '../durable-file.ts';
import { FileFault, type Line } from './format.ts';

const CHUNK_BYTES = 64 * 1024;
/** One row is one line; the largest is the tool list of an upstream, which is refused above a few megabytes. */
const LONGEST_LINE_BYTES = 256 * 1024 * 1024;
const NEWLINE = 0x0a;

export type NumberedLine = {
  line: number;
  text: string;
  /** Of everything before this line. */
  sha256Before: string;
};

function cannot(doing: 'read' | 'written', file: string, error: unknown): AppError {
  const code = errorCode(error);
  if (typeof code !== 'string') throw error;
  return new AppError('invalid_request', `${file} cannot be ${doing} (${code}). Check its path and permissions.`);
}

/** The lines of a file, one after the other. Not `readline`, which also splits at U+2028, and that may stand in a value. */
export async function* readLines(file: string): AsyncGenerator<NumberedLine> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    throw cannot('read', file, error);
  });
  try {
    yield* splitLines(file, handle);
  } finally {
    await handle.close();
  }
}

async function* splitLines(file: string, handle: FileHandle): AsyncGenerator<NumberedLine> {
  const hash = createHash('sha256');
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let line = 1;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES).catch((error: unknown) => {
      throw cannot('read', file, error);
    });
    if (bytesRead === 0) break;
    let from = 0;
    for (let at = buffer.indexOf(NEWLINE); at !== -1 && at < bytesRead; at = buffer.indexOf(NEWLINE, from)) {
      const bytes = Buffer.concat([...pending, buffer.subarray(from, at)]);
      yield { line, text: decode(file, line, decoder, bytes), sha256Before: hash.copy().digest('hex') };
      hash.update(bytes).update('\n');
      [pending, pendingBytes, from, line] = [[], 0, at + 1, line + 1];
    }
    pending.push(Buffer.from(buffer.subarray(from, bytesRead)));
    pendingBytes += bytesRead - from;
    if (pendingBytes > LONGEST_LINE_BYTES) throw new FileFault(file, line, 'is longer than any line of an export');
  }
  if (pendingBytes > 0) throw new FileFault(file, line, 'ends in its midst: the file is not complete');
}

function decode(file: string, line: number, decoder: InstanceType<typeof TextDecoder>, bytes: Buffer): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FileFault(file, line, 'is not UTF-8');
  }
}

export interface LineWriter {
  write(value: object): Promise<void>;
}

export type WriteOptions = { file: string; overwrite: boolean; unique: string };

function isThere(file: string): AppError {
  return new AppError('conflict', `${file} is there already. Choose another name, or give --force to replace it.`);
}

/**
 * Writes a file of lines and a last one that proves it whole. It appears under its name only once all of it is on the
 * disk, is readable by its user alone, and replaces another file only if `overwrite` says so.
 */
export async function writeLines<T>(options: WriteOptions, fill: (writer: LineWriter) => Promise<T>): Promise<T> {
  const file = resolve(options.file);
  const temporary = join(dirname(file), `.${basename(file)}.${options.unique}`);
  const failed = (error: unknown) => {
    throw cannot('written', options.file, error);
  };
  const handle = await open(temporary, 'wx', FILE_MODE).catch(failed);
  try {
    const result = await fillAndSync(handle, fill, failed);
    if (options.overwrite) await rename(temporary, file).catch(failed);
    else await linkNew(temporary, file, options.file);
    await syncDirectory(dirname(file));
    return result;
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
}

async function fillAndSync<T>(
  handle: FileHandle,
  fill: (writer: LineWriter) => Promise<T>,
  failed: (error: unknown) => never,
): Promise<T> {
  const hash = createHash('sha256');
  let lines = 0;
  let held: string[] = [];
  let heldLength = 0;
  const flush = async () => {
    const text = held.join('');
    [held, heldLength] = [[], 0];
    hash.update(text);
    await handle.appendFile(text).catch(failed);
  };
  const write = async (value: object) => {
    const text = `${JSON.stringify(value)}\n`;
    lines += 1;
    held.push(text);
    heldLength += text.length;
    if (heldLength >= CHUNK_BYTES) await flush();
  };
  try {
    const result = await fill({ write });
    await flush();
    const end: Line = { end: true, lines, sha256: hash.copy().digest('hex') };
    await write(end);
    await flush();
    await handle.sync().catch(failed);
    return result;
  } finally {
    await handle.close();
  }
}

async function linkNew(temporary: string, file: string, shown: string): Promise<void> {
  try {
    await link(temporary, file);
  } catch (error) {
    throw errorCode(error) === 'EEXIST' ? isThere(shown) : cannot('written', shown, error);
  }
}

/** The early word: nobody waits for an export that cannot be kept. */
export async function refuseExisting(file: string): Promise<void> {
  const handle = await open(file, 'r').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw isThere(file);
  });
  await handle?.close();
  if (handle !== undefined) throw isThere(file);
}
