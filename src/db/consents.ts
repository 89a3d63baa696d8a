import { createHash } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { ConnectionKey } from '../core/connection.ts';
import type { Clock, ConsentStore, PendingConsent } from '../core/ports.ts';
import { Secret } from '../core/redact.ts';
import { draw, json, toInstant, toTimestamp } from './column-values.ts';
import type { Database, OauthStateTable } from './schema.ts';
import type { SecretBox } from './secret-box.ts';

/** A callback waits for its reply, and listens on after that, for less than this. */
const EXCHANGE_MS = 600_000;

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
    consumed_at: null,
    consent_seq: null,
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
        .where('consumed_at', 'is', null)
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
        .where('consumed_at', 'is', null)
        .where('expires_at', '>', now())
        .executeTakeFirst();
      const consent = row && toConsent(box, row);
      return row && consent && { consent, browser_binding_hash: row.browser_binding_hash };
    },

    consume: (state) =>
      db.transaction().execute(async (transaction) => {
        const row = await transaction
          .updateTable('oauth_states')
          .set({ consumed_at: now(), consent_seq: sql<bigint>`nextval('consent_seq')` })
          .where('state_hash', '=', hashOf(state))
          .where('consumed_at', 'is', null)
          .where('expires_at', '>', now())
          .returningAll()
          .executeTakeFirst();
        const consent = row && toConsent(box, row);
        if (!row || row.consent_seq === null) return undefined;
        if (consent) return { consent, consent_seq: BigInt(row.consent_seq) };
        await transaction.deleteFrom('oauth_states').where('state_hash', '=', hashOf(state)).execute();
        return undefined;
      }),

    async finish(state) {
      await db.deleteFrom('oauth_states').where('state_hash', '=', hashOf(state)).execute();
    },

    drawConsentSeq: () => draw(db, 'consent_seq'),

    async pending(key, at) {
      const row = await db
        .selectFrom('oauth_states as consent')
        .innerJoin('connection_credentials as credential', (join) =>
          join.onRef('credential.kind', '=', 'consent.kind').onRef('credential.name', '=', 'consent.name'),
        )
        .select('consent.state_hash')
        .where('consent.kind', '=', key.kind)
        .where('consent.name', '=', key.name)
        .where((where) =>
          where.or([
            where.and([where('consent.consumed_at', 'is', null), where('consent.expires_at', '>', toTimestamp(at))]),
            where.and([
              where('consent.consumed_at', '>', toTimestamp(at - EXCHANGE_MS)),
              where('consent.consent_seq', '>', where.ref('credential.consent_seq')),
            ]),
          ]),
        )
        .limit(1)
        .executeTakeFirst();
      return row !== undefined;
    },

    async prune(at) {
      const expired = await db
        .deleteFrom('oauth_states')
        .where('expires_at', '<=', toTimestamp(at))
        .where((where) =>
          where.or([where('consumed_at', 'is', null), where('consumed_at', '<=', toTimestamp(at - EXCHANGE_MS))]),
        )
        .returning('state_hash')
        .execute();
      return expired.length;
    },
  };
}
