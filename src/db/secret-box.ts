import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto';
import type { Fingerprint, Random, Sign } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';

/** What a box belongs to: moved to another row or column, it does not open. */
export type BoxContext = { kind: string; name: string; column: string };

export type OpenedBox =
  | { opened: true; secret: Secret }
  /** `unknown_key`: written with a key that we do not hold. `tampered`: our key, but not what was written here. */
  | { opened: false; reason: 'unknown_key' | 'tampered' };

/** `id`: 16 hex digits, from `keyIdOf`. The first key seals; all of them open. */
export type EncryptionKey = { id: string; key: Uint8Array };

export interface SecretBox {
  seal(secret: Secret, context: BoxContext): Uint8Array;
  open(box: Uint8Array, context: BoxContext): OpenedBox;
  fingerprint: Fingerprint;
  /** Signs with a key of its own, derived from the first key: HMAC-SHA-256, base64url. */
  signer(purpose: 'request-state'): Sign;
  /** The first key's id. */
  sealing_key_id: string;
  /** How a box begins that we can open, per key; for telling them apart in SQL. */
  prefixes: readonly { key_id: string; prefix: Uint8Array }[];
}

/** version (1) · key id (8) · nonce (12) · ciphertext · tag (16) */
const VERSION = 1;
const KEY_ID_BYTES = 8;
export const BOX_PREFIX_BYTES = 1 + KEY_ID_BYTES;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = BOX_PREFIX_BYTES + NONCE_BYTES;

/** Which key a box names that was written by this version of the format; it stands open, and proves nothing. */
export function boxKeyId(box: Uint8Array): string | undefined {
  if (box.length < HEADER_BYTES + TAG_BYTES || box[0] !== VERSION) return undefined;
  return Buffer.from(box.buffer, box.byteOffset, box.byteLength).toString('hex', 1, BOX_PREFIX_BYTES);
}

/** RFC 5869, so that no use of the key can weaken another. */
function derive(key: Uint8Array, purpose: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', key, new Uint8Array(), `mcp-data-platform:${purpose}`, length));
}

/** Names a key without revealing it, the same on every replica. */
export function keyIdOf(key: Uint8Array): string {
  return derive(key, 'key-id', KEY_ID_BYTES).toString('hex');
}

function prefixOf(id: string): Uint8Array {
  if (!/^[0-9a-f]{16}$/.test(id)) throw new TypeError('a key id is 16 hex digits');
  return Buffer.concat([Buffer.of(VERSION), Buffer.from(id, 'hex')]);
}

/** JSON quotes what it joins, so no two contexts give the same bytes. */
function associatedData(prefix: Uint8Array, context: BoxContext): Buffer {
  return Buffer.concat([prefix, Buffer.from(JSON.stringify([context.kind, context.name, context.column]))]);
}

/**
 * AES-256-GCM boxes that name their key.
 * @see https://csrc.nist.gov/pubs/sp/800/38/d/final §8.2.2 random 96-bit nonces, good for 2^32 boxes of one key
 */
export function createSecretBox(input: { keys: readonly EncryptionKey[]; random: Random }): SecretBox {
  const { keys, random } = input;
  const [sealing] = keys;
  if (!sealing) throw new TypeError('a secret box needs at least one key');
  const ring = new Map(
    keys.map(({ id, key }) => [id, { prefix: prefixOf(id), cipherKey: derive(key, 'secret-box', 32) }]),
  );
  const sealer = { prefix: prefixOf(sealing.id), cipherKey: derive(sealing.key, 'secret-box', 32) };
  const fingerprintKey = derive(sealing.key, 'fingerprint', 32);

  return {
    sealing_key_id: sealing.id,
    prefixes: [...ring].map(([key_id, { prefix }]) => ({ key_id, prefix })),
    seal(secret, context) {
      const nonce = random.bytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealer.cipherKey, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(associatedData(sealer.prefix, context));
      const ciphertext = Buffer.concat([cipher.update(secret.reveal(), 'utf8'), cipher.final()]);
      return Buffer.concat([sealer.prefix, nonce, ciphertext, cipher.getAuthTag()]);
    },
    open(box, context) {
      const bytes = Buffer.from(box.buffer, box.byteOffset, box.byteLength);
      const keyId = boxKeyId(box);
      if (keyId === undefined) return { opened: false, reason: 'tampered' };
      const found = ring.get(keyId);
      if (!found) return { opened: false, reason: 'unknown_key' };
      const nonce = bytes.subarray(BOX_PREFIX_BYTES, HEADER_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', found.cipherKey, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(associatedData(found.prefix, context));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        const text = Buffer.concat([decipher.update(bytes.subarray(HEADER_BYTES, -TAG_BYTES)), decipher.final()]);
        return { opened: true, secret: new Secret(text.toString('utf8')) };
      } catch {
        return { opened: false, reason: 'tampered' };
      }
    },
    signer: (purpose) => {
      const key = derive(sealing.key, purpose, 32);
      return (text) => createHmac('sha256', key).update(text, 'utf8').digest('base64url');
    },
    fingerprint: (token) =>
      createHmac('sha256', fingerprintKey).update(token.reveal(), 'utf8').digest('hex').slice(0, 16),
  };
}

/** Why a stored secret cannot be used, for a person. */
export function unreadableSentence(reason: 'unknown_key' | 'tampered'): string {
  return reason === 'unknown_key'
    ? 'cannot be decrypted: the encryption key is another than the one it was written with'
    : 'cannot be decrypted: the stored value was damaged or changed';
}
