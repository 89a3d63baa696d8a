import type { Kysely } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type { RegistrationStore } from '../core/ports.ts';
import { toInstant, toTimestamp } from './column-values.ts';
import type { Database } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

export function createRegistrationStore({ db, box }: { db: Kysely<Database>; box: SecretBox }): RegistrationStore {
  const contextOf = (key: ConnectionKey) => ({ ...key, column: 'oauth_clients.client_secret' });
  return {
    async read(key, issuer, redirect_uri) {
      const row = await db
        .selectFrom('oauth_clients')
        .selectAll()
        .where('kind', '=', key.kind)
        .where('name', '=', key.name)
        .where('issuer', '=', issuer)
        .where('redirect_uri', '=', redirect_uri)
        .executeTakeFirst();
      if (!row) return undefined;
      const opened = row.client_secret && box.open(row.client_secret, contextOf(key));
      // A client whose secret is unreadable is as good as none: the caller registers another.
      if (opened && !opened.opened) return undefined;
      return {
        issuer,
        redirect_uri,
        client_id: row.client_id,
        client_secret: opened ? opened.secret : null,
        token_endpoint_auth_method: row.token_endpoint_auth_method,
        client_secret_expires_at: toInstant(row.client_secret_expires_at),
      };
    },

    async save(key, client) {
      const columns = {
        client_id: client.client_id,
        client_secret: client.client_secret && box.seal(client.client_secret, contextOf(key)),
        token_endpoint_auth_method: client.token_endpoint_auth_method,
        client_secret_expires_at: toTimestamp(client.client_secret_expires_at),
      };
      await db
        .insertInto('oauth_clients')
        .values({ ...key, issuer: client.issuer, redirect_uri: client.redirect_uri, ...columns })
        .onConflict((conflict) => conflict.columns(['kind', 'name', 'issuer', 'redirect_uri']).doUpdateSet(columns))
        .execute();
    },

    async forget(key, issuer, client_id) {
      await db
        .deleteFrom('oauth_clients')
        .where('kind', '=', key.kind)
        .where('name', '=', key.name)
        .where('issuer', '=', issuer)
        .$if(client_id !== undefined, (query) => query.where('client_id', '=', client_id ?? ''))
        .execute();
    },
  };
}
