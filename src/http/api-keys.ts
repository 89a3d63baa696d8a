import { createHash, timingSafeEqual } from 'node:crypto';
import type { AccessRules } from '../core/access-rule.ts';
import type { ApiKeyRecord } from '../core/ports.ts';
import { apiKeyActor, type Principal } from '../core/principal.ts';

export type ApiKeys = {
  /** Who holds this key; undefined: nobody. */
  verify(key: string): Principal | undefined;
  /** What the admin's key behind this actor may use; undefined when there is none any more, so its sessions end. */
  adminAccess(actor: string): AccessRules | undefined;
};

/** SHA-256, hex. Enough for what is random already: a key of ours cannot be guessed from its hash. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

/** Checks every record whichever matches, in constant time, so that the answer's delay tells nothing. */
export function createApiKeys(records: readonly ApiKeyRecord[]): ApiKeys {
  const known = records.map((record) => ({ ...record, digest: Buffer.from(record.key_hash, 'hex') }));
  const broken = known.find(({ digest }) => digest.length !== 32);
  if (broken) throw new TypeError(`the hash of API key "${broken.name}" is not a SHA-256 in hex`);
  // Only keys that are right are ever put in, so there are no more of them than records. A look-up hashes the whole of a
  // text with a seed that nobody outside knows, and compares it only with one of the same hash: its time tells nothing.
  const verified = new Map<string, Principal>();
  return {
    verify(key) {
      const before = verified.get(key);
      if (before) return before;
      const digest = Buffer.from(hashToken(key), 'hex');
      let found: Principal | undefined;
      for (const record of known) {
        if (timingSafeEqual(record.digest, digest)) {
          found = { actor: apiKeyActor(record.name), role: record.role, via: 'api_key', access: record.access };
        }
      }
      if (found) verified.set(key, found);
      return found;
    },
    adminAccess: (actor) => known.find(({ name, role }) => role === 'admin' && apiKeyActor(name) === actor)?.access,
  };
}
