import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../core/errors.ts';
import type { Random } from '../core/ports.ts';
import { createDurably, errorCode, makeDirectory } from './durable-file.ts';
import type { EncryptionKey } from './secret-box.ts';
import { keyIdOf } from './secret-box.ts';

export const KEY_FILE = 'secret.key';
const KEY_BYTES = 32;

export type LoadedKey = EncryptionKey & {
  origin: 'configured' | 'file' | 'created';
  /** Where it lies, when it is not in the configuration. */
  path?: string;
};

/** 64 hex digits, base64 (also base64url) of 32 bytes, or 32 bytes as they stand. */
export function parseEncryptionKey(text: string): Uint8Array | undefined {
  const trimmed = text.trim();
  if (/^[0-9a-fA-F]{64}$/.test(trimmed)) return Buffer.from(trimmed, 'hex');
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) {
    const bytes = Buffer.from(trimmed, 'base64');
    if (bytes.length === KEY_BYTES) return bytes;
  }
  const raw = Buffer.from(text, 'utf8');
  return raw.length === KEY_BYTES ? raw : undefined;
}

const SHAPES = '64 hex digits, base64 of 32 bytes, or exactly 32 bytes';
const HOW_TO_MAKE_ONE = 'make one with: openssl rand -hex 32';

/**
 * The key that secrets are encrypted with: the configured one, else the one of the data directory, created when there
 * is none and `allowCreate` says so. Without `allowCreate` the file is not even read: several replicas share one
 * database, and each would have another file.
 * @throws AppError `invalid_config` naming ENCRYPTION_KEY
 */
export async function loadEncryptionKey(input: {
  configured?: string | undefined;
  dataDir: string;
  allowCreate: boolean;
  random: Random;
}): Promise<LoadedKey> {
  const { configured, dataDir, allowCreate, random } = input;
  if (configured !== undefined && configured !== '') {
    const key = parseEncryptionKey(configured);
    if (!key) throw invalidKey(`ENCRYPTION_KEY must be ${SHAPES}; ${HOW_TO_MAKE_ONE}`);
    return { key, id: keyIdOf(key), origin: 'configured' };
  }
  if (!allowCreate) {
    throw invalidKey(
      `ENCRYPTION_KEY is not set, and a database on a server needs it: ${SHAPES}, the same on every replica; ${HOW_TO_MAKE_ONE}`,
    );
  }
  await makeDirectory(dataDir);
  const path = join(dataDir, KEY_FILE);
  const existing = await readKeyFile(path);
  if (existing) return { key: existing, id: keyIdOf(existing), origin: 'file', path };
  const key = random.bytes(KEY_BYTES);
  const created = await createDurably(
    dataDir,
    KEY_FILE,
    `.${KEY_FILE}.${random.uuid()}`,
    `${Buffer.from(key).toString('hex')}\n`,
  );
  const stored = created ? key : ((await readKeyFile(path)) ?? key);
  return { key: stored, id: keyIdOf(stored), origin: created ? 'created' : 'file', path };
}

async function readKeyFile(path: string): Promise<Uint8Array | undefined> {
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const key = parseEncryptionKey(content.trim());
  if (key) return key;
  // Never overwritten: whatever it held may be the only way to the stored tokens.
  throw invalidKey(
    `${path} does not hold an encryption key (${SHAPES}). Restore it, or set ENCRYPTION_KEY to the key that it held`,
  );
}

function invalidKey(sentence: string): AppError {
  return new AppError('invalid_config', `${sentence}.`, { issues: [{ path: 'ENCRYPTION_KEY', message: sentence }] });
}
