import { createHash } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type { Clock, ConsentStore, PendingConsent } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import { draw, json, toInstant, toTimestamp } from './column-values.ts';
import type { Database, OauthStateTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

export type ConsentStoreInput = { db: Kysely<Database>; clock: Clock; box: SecretBox };

function hashOf(state: string): string {
  return createHash('sha256').update(state, 'utf8').digest('hex');
}

const columnOf = (column: string) => `oauth_states.${column}`;

/** undefined when a part does not open: such a flow cannot be finished, and the person starts it again. */
function toConsent(box: SecretBox, row: Selectable<OauthStateTable>): PendingConsent | undefined {
  const { kind, name } = row;
  const verifier = box.open(row.code_verifier, { kind, name, column: columnOf('code_verifier') });
  const url = box.open(row.authorization_url, { kind, name, column: columnOf('authorization_url') });
  const client = row.client_secret && box.open(row.client_secret, { kind, name, column: columnOf('client_secret') });
  if (!verifier.opened || !url.opened || (client && !client.opened)) return undefined;
  return {
    key: { kind, name },
    incarnation: row.incarnation,
    redirect_uri: row.redirect_uri,
    code_verifier: verifier.secret,
    binding: row.binding,
    client_secret: client ? client.secret : null,
    issuer: row.issuer,
    iss_required: row.iss_required,
    authorization_url: url.secret.reveal(),
    actor: row.actor,
    return_url: row.return_url,
    created_at: toInstant(row.created_at),
    expires_at: toInstant(row.expires_at),
  };
}

function consentColumns(box: SecretBox, key: ConnectionKey, consent: PendingConsent) {
  const seal = (column: string, secret: Secret) => box.seal(secret, { ...key, column: columnOf(column) });
  return {
    ...key,
    incarnation: consent.incarnation,
    redirect_uri: consent.redirect_uri,
    code_verifier: seal('code_verifier', consent.code_verifier),
    binding: json(consent.binding),
    client_secret: consent.client_secret && seal('client_secret', consent.client_secret),
    issuer: consent.issuer,
    iss_required: consent.iss_required,
    authorization_url: seal('authorization_url', new Secret(consent.authorization_url)),
    actor: consent.actor,
    return_url: consent.return_url,
    browser_binding_hash: null,
    created_at: toTimestamp(consent.created_at),
    expires_at: toTimestamp(consent.expires_at),
  };
}

export function createConsentStore({ db, clock, box }: ConsentStoreInput): ConsentStore {
  const now = () => toTimestamp(clock.now());
  return {
    async create(state, consent) {
      await db
        .insertInto('oauth_states')
        .values({ state_hash: hashOf(state), ...consentColumns(box, consent.key, consent) })
        .execute();
    },

    async bind(state, browser_binding_hash) {
      const bound = await db
        .updateTable('oauth_states')
        .set({ browser_binding_hash })
        .where('state_hash', '=', hashOf(state))
        .where('expires_at', '>', now())
        .where((where) =>
          where.or([
            where('browser_binding_hash', 'is', null),
            where('browser_binding_hash', '=', browser_binding_hash),
          ]),
        )
        .returning('state_hash')
        .executeTakeFirst();
      return bound !== undefined;
    },

    async peek(state) {
      const row = await db
        .selectFrom('oauth_states')
        .selectAll()
        .where('state_hash', '=', hashOf(state))
        .where('expires_at', '>', now())
        .executeTakeFirst();
      const consent = row && toConsent(box, row);
      return row && consent && { consent, browser_binding_hash: row.browser_binding_hash };
    },

    consume: (state) =>
      db.transaction().execute(async (transaction) => {
        const row = await transaction
          .deleteFrom('oauth_states')
          .where('state_hash', '=', hashOf(state))
          .returningAll()
          .executeTakeFirst();
        if (!row || toInstant(row.expires_at) <= clock.now()) return undefined;
        const consent = toConsent(box, row);
        return consent && { consent, consent_seq: await draw(transaction, 'consent_seq') };
      }),

    drawConsentSeq: () => draw(db, 'consent_seq'),

    async pending(key, at) {
      const row = await db
        .selectFrom('oauth_states')
        .select('state_hash')
        .where('kind', '=', key.kind)
        .where('name', '=', key.name)
        .where('expires_at', '>', toTimestamp(at))
        .limit(1)
        .executeTakeFirst();
      return row !== undefined;
    },

    async prune(at) {
      const expired = await db
        .deleteFrom('oauth_states')
        .where('expires_at', '<=', toTimestamp(at))
        .returning('state_hash')
        .execute();
      return expired.length;
    },
  };
}
