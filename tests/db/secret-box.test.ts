import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRandom } from '../../src/clock.ts';
import { Secret } from '../../src/core/redact.ts';
import { loadEncryptionKey } from '../../src/db/encryption-key.ts';
import { readReplicaIdentity } from '../../src/db/replica-identity.ts';
import { createSecretBox, keyIdOf } from '../../src/db/secret-box.ts';

const keyOf = (fill: number) => {
  const key = new Uint8Array(32).fill(fill);
  return { id: keyIdOf(key), key };
};
const boxOf = (...fills: number[]) => createSecretBox({ keys: fills.map(keyOf), random: systemRandom });
const context = { kind: 'mcp', name: 'acme', column: 'access_token' };
const secret = new Secret('tökèn');

describe('the secret box', () => {
  it('opens what it sealed, and seals the same secret differently each time', () => {
    const box = boxOf(1);
    const sealed = box.seal(secret, context);
    const opened = box.open(sealed, context);
    expect(opened.opened && opened.secret.reveal()).toBe('tökèn');
    expect(Buffer.compare(sealed, box.seal(secret, context))).not.toBe(0);
    expect(Buffer.from(sealed).includes('tökèn')).toBe(false);
  });

  it('opens under a plain Uint8Array that is a window of a larger buffer', () => {
    const sealed = boxOf(1).seal(secret, context);
    const padded = new Uint8Array(sealed.length + 7);
    padded.set(sealed, 3);
    expect(boxOf(1).open(padded.subarray(3, 3 + sealed.length), context).opened).toBe(true);
  });

  it('does not open in another row or column, however their names are cut', () => {
    const box = boxOf(1);
    const sealed = box.seal(secret, { kind: 'a', name: 'bc', column: 'd' });
    for (const other of [
      { kind: 'ab', name: 'c', column: 'd' },
      { kind: 'a', name: 'b', column: 'cd' },
      { kind: 'a', name: 'bc', column: 'e' },
    ]) {
      expect(box.open(sealed, other)).toEqual({ opened: false, reason: 'tampered' });
    }
  });

  it('tells a key that it does not hold from a box that was changed, at every byte', () => {
    const box = boxOf(1);
    const sealed = box.seal(secret, context);
    expect(boxOf(2).open(sealed, context)).toEqual({ opened: false, reason: 'unknown_key' });
    for (let index = 0; index < sealed.length; index += 1) {
      const changed = Uint8Array.from(sealed);
      changed[index] = (changed[index] ?? 0) ^ 1;
      const reason = index >= 1 && index <= 8 ? 'unknown_key' : 'tampered';
      expect(box.open(changed, context)).toEqual({ opened: false, reason });
      expect(box.open(sealed.slice(0, index), context).opened).toBe(false);
    }
  });

  it('seals with the first key and opens with all, so that keys can be changed', () => {
    const old = boxOf(1).seal(secret, context);
    const box = boxOf(2, 1);
    expect(box.open(old, context).opened).toBe(true);
    expect(boxOf(2).open(box.seal(secret, context), context).opened).toBe(true);
  });

  it('marks equal tokens equally, under one key only', () => {
    expect(boxOf(1).fingerprint(secret)).toMatch(/^[0-9a-f]{16}$/);
    expect(boxOf(1).fingerprint(secret)).toBe(boxOf(1, 2).fingerprint(new Secret('tökèn')));
    expect(boxOf(1).fingerprint(secret)).not.toBe(boxOf(2).fingerprint(secret));
    expect(boxOf(1).fingerprint(secret)).not.toBe(boxOf(1).fingerprint(new Secret('other')));
  });
});

describe('files of the data directory', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'secret-key-'));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));
  const load = (configured: string | undefined, allowCreate = false) =>
    loadEncryptionKey({ configured, dataDir, allowCreate, random: systemRandom });

  it('reads a configured key as hex, base64, base64url or bytes', async () => {
    const { key } = keyOf(0xfb);
    const bytes = Buffer.from(key);
    for (const text of [bytes.toString('hex'), bytes.toString('base64'), bytes.toString('base64url')]) {
      const loaded = await load(` ${text}\n`);
      expect(Buffer.compare(loaded.key, key)).toBe(0);
      expect(loaded).toMatchObject({ id: keyIdOf(key), origin: 'configured' });
    }
    expect(Buffer.from((await load('exactly thirty-two bytes of text')).key).toString()).toHaveLength(32);
  });

  it('refuses a key of another shape, naming ENCRYPTION_KEY and not the key', async () => {
    for (const text of ['too short', 'g'.repeat(64), 'a'.repeat(63)]) {
      const refusal = await load(text).catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'invalid_config', issues: [{ path: 'ENCRYPTION_KEY' }] });
      expect(String(refusal)).not.toContain(text);
    }
  });

  it('refuses to start without a key where it may not make one', async () => {
    await expect(load(undefined)).rejects.toThrow(/ENCRYPTION_KEY is not set/);
    expect(await readdir(dataDir)).toEqual([]);
  });

  it('makes one key for all that start at once, readable by its owner alone, and keeps it', async () => {
    const loaded = await Promise.all([1, 2, 3].map(() => load(undefined, true)));
    expect(new Set(loaded.map((one) => one.id)).size).toBe(1);
    expect(loaded.filter((one) => one.origin === 'created')).toHaveLength(1);
    expect(await readdir(dataDir)).toEqual(['secret.key']);
    expect((await stat(join(dataDir, 'secret.key'))).mode & 0o777).toBe(0o600);
    expect(await load('', true)).toMatchObject({ origin: 'file', id: loaded[0]?.id });
  });

  it('never replaces a key file that it cannot read', async () => {
    await writeFile(join(dataDir, 'secret.key'), 'half a k');
    await expect(load(undefined, true)).rejects.toMatchObject({ code: 'invalid_config' });
    expect(await readFile(join(dataDir, 'secret.key'), 'utf8')).toBe('half a k');
  });

  it('gives a replica one identity for the life of its directory (protocol rule 4)', async () => {
    const read = () => readReplicaIdentity({ dataDir, random: systemRandom });
    const identities = await Promise.all([read(), read(), read()]);
    expect(new Set(identities).size).toBe(1);
    expect(await read()).toBe(identities[0]);
    expect(await readdir(dataDir)).toEqual(['replica-id']);
    expect((await stat(join(dataDir, 'replica-id'))).mode & 0o777).toBe(0o600);
    await writeFile(join(dataDir, 'replica-id'), 'not a uuid');
    await expect(read()).rejects.toMatchObject({ code: 'data_dir' });
  });
});
