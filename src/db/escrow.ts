import { readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Escrow, EscrowEntry, Log } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import { errorCode, makeDirectory, replaceDurably, sharedDirectorySync } from './durable-file.ts';
import type { SecretBox } from './secret-box.ts';

/** Below the data directory. */
export const ESCROW_FOLDER = 'escrow';
const SUFFIX = '.escrow';
/** Between its sync and its rename a file is already complete, so these are read, too. */
const UNRENAMED_SUFFIX = '.escrow-new';
/** Attempt ids become file names. */
const ATTEMPT_ID = /^[A-Za-z0-9-]{1,64}$/;
const FORMAT = 1;

/** A whole name, as `write` gives them and `list` reads them. */
export function isEscrowFile(name: string): boolean {
  const suffix = [UNRENAMED_SUFFIX, SUFFIX].find((one) => name.endsWith(one));
  return suffix !== undefined && ATTEMPT_ID.test(name.slice(0, -suffix.length));
}

/** What stands open: no more than what is needed to open the box. */
type Envelope = { format: number; kind: string; name: string; box: string };

const contextOf = (kind: string, name: string) => ({ kind, name, column: 'escrow' });

/**
 * JSON with the two types that an entry holds besides JSON's own. `value` is what `toJSON` made of a Secret, so the
 * original is fetched from its holder.
 */
function encode(entry: EscrowEntry): string {
  return JSON.stringify(entry, function replace(this: Record<string, unknown>, key: string, value: unknown): unknown {
    const original = this[key];
    if (original instanceof Secret) return { $secret: original.reveal() };
    if (typeof original === 'bigint') return { $bigint: original.toString() };
    return value;
  });
}

function decode(text: string): EscrowEntry {
  // The box proves that we wrote it, so its shape is the one of `FORMAT`.
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if ('$secret' in value && typeof value.$secret === 'string') return new Secret(value.$secret);
    if ('$bigint' in value && typeof value.$bigint === 'string') return BigInt(value.$bigint);
    return value;
  }) as EscrowEntry;
}

function isEnvelope(value: unknown): value is Envelope {
  if (typeof value !== 'object' || value === null) return false;
  const { format, kind, name, box } = value as Partial<Envelope>;
  return format === FORMAT && typeof kind === 'string' && typeof name === 'string' && typeof box === 'string';
}

const NOT_COMPLETE = 'not complete';

type ReadEntry = { read: true; entry: EscrowEntry } | { read: false; reason: string };

function open(box: SecretBox, content: string, attemptId: string): ReadEntry {
  let envelope: unknown;
  try {
    envelope = JSON.parse(content);
  } catch {
    return { read: false, reason: NOT_COMPLETE };
  }
  if (!isEnvelope(envelope)) return { read: false, reason: 'of another format' };
  const { kind, name } = envelope;
  const opened = box.open(Buffer.from(envelope.box, 'base64'), contextOf(kind, name));
  if (!opened.opened) {
    return { read: false, reason: opened.reason === 'unknown_key' ? 'encrypted with another key' : 'damaged' };
  }
  const entry = decode(opened.secret.reveal());
  return entry.attempt_id === attemptId
    ? { read: true, entry }
    : { read: false, reason: 'not the one it is named for' };
}

/**
 * Replies of token endpoints on disk, one encrypted file per attempt (protocol rules 10 to 13). The directory belongs
 * to one replica. A file that cannot be read is reported and kept: it may hold the only copy of a token, and the right
 * key may come back.
 */
export function createFileEscrow(input: { directory: string; box: SecretBox; log: Log }): Escrow {
  const { directory, box, log } = input;
  const reported = new Set<string>();
  const sync = sharedDirectorySync(directory);
  /** Attempts that may have a file which was not renamed yet. */
  const unfinished = new Set<string>();
  const fileOf = (attemptId: string, suffix: string) => {
    if (!ATTEMPT_ID.test(attemptId)) throw new TypeError('an attempt id is letters, digits and hyphens');
    return `${attemptId}${suffix}`;
  };

  /** undefined: cleared since the directory was read. */
  const readEntry = async (file: string, suffix: string): Promise<ReadEntry | undefined> => {
    let content: string;
    try {
      content = await readFile(join(directory, file), 'utf8');
    } catch (error) {
      const code = errorCode(error);
      return code === 'ENOENT' ? undefined : { read: false, reason: String(code) };
    }
    return open(box, content, file.slice(0, -suffix.length));
  };

  /** The directory is nearly always there: it is made where work in it shows that it is not. */
  const existing = (work: () => Promise<void>): Promise<void> =>
    work().catch(async (error: unknown) => {
      if (errorCode(error) !== 'ENOENT') throw error;
      await makeDirectory(directory);
      await work();
    });

  const remove = async (file: string): Promise<boolean> => {
    try {
      await unlink(join(directory, file));
      return true;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    }
  };

  const report = (file: string, reason: string) => {
    if (reported.has(file)) return;
    reported.add(file);
    log.error('an escrow file cannot be read and is kept', { file, reason });
  };

  return {
    async write(entry) {
      const name = fileOf(entry.attempt_id, SUFFIX);
      const { kind, name: connection } = entry.key;
      const sealed = box.seal(new Secret(encode(entry)), contextOf(kind, connection));
      const envelope: Envelope = {
        format: FORMAT,
        kind,
        name: connection,
        box: Buffer.from(sealed).toString('base64'),
      };
      const temporary = fileOf(entry.attempt_id, UNRENAMED_SUFFIX);
      unfinished.add(entry.attempt_id);
      await existing(() => replaceDurably(directory, name, temporary, JSON.stringify(envelope), sync));
      unfinished.delete(entry.attempt_id);
    },

    async list() {
      await makeDirectory(directory);
      const files = (await readdir(directory)).sort();
      const entries = new Map<string, EscrowEntry>();
      let unreadable = 0;
      for (const suffix of [UNRENAMED_SUFFIX, SUFFIX]) {
        for (const file of files.filter((candidate) => candidate.endsWith(suffix))) {
          if (suffix === UNRENAMED_SUFFIX) unfinished.add(file.slice(0, -suffix.length));
          const result = await readEntry(file, suffix);
          if (result?.read) {
            entries.set(result.entry.attempt_id, result.entry);
          } else if (result) {
            report(file, result.reason);
            // A crash in the midst of a write leaves half a box, which no key and no repair will ever open.
            if (suffix === SUFFIX || result.reason !== NOT_COMPLETE) unreadable += 1;
          }
        }
      }
      return { entries: [...entries.values()].sort((a, b) => a.received_at - b.received_at), unreadable };
    },

    async clear(attemptId) {
      const removed = await remove(fileOf(attemptId, SUFFIX));
      if (!removed || unfinished.has(attemptId)) await remove(fileOf(attemptId, UNRENAMED_SUFFIX));
      unfinished.delete(attemptId);
      await existing(sync);
    },
  };
}
