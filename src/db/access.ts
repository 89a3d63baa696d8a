import type { Kysely } from 'kysely';
import type { AccessStore } from '../core/ports.ts';
import { toInstant, toTimestamp } from './column-values.ts';
import type { Database } from './schema.ts';

export function createAccessStore(db: Kysely<Database>): AccessStore {
  return {
    async createSignInLink(token_hash, actor, expires_at) {
      await db
        .insertInto('sign_in_links')
        .values({ token_hash, actor, expires_at: toTimestamp(expires_at) })
        .execute();
    },

    async consumeSignInLink(token_hash, now) {
      const link = await db
        .deleteFrom('sign_in_links')
        .where('token_hash', '=', token_hash)
        .where('expires_at', '>', toTimestamp(now))
        .returning('actor')
        .executeTakeFirst();
      return link?.actor;
    },

    async createSession(session_hash, actor, expires_at) {
      await db
        .insertInto('sessions')
        .values({ session_hash, actor, expires_at: toTimestamp(expires_at) })
        .execute();
    },

    async readSession(session_hash, now) {
      const session = await db
        .selectFrom('sessions')
        .select(['actor', 'expires_at'])
        .where('session_hash', '=', session_hash)
        .where('expires_at', '>', toTimestamp(now))
        .executeTakeFirst();
      return session && { actor: session.actor, expires_at: toInstant(session.expires_at) };
    },

    async deleteSession(session_hash) {
      await db.deleteFrom('sessions').where('session_hash', '=', session_hash).execute();
    },

    async pruneExpired(now) {
      const at = toTimestamp(now);
      const links = await db.deleteFrom('sign_in_links').where('expires_at', '<=', at).returning('actor').execute();
      const sessions = await db.deleteFrom('sessions').where('expires_at', '<=', at).returning('actor').execute();
      return links.length + sessions.length;
    },
  };
}
