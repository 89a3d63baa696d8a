import type { Kysely } from 'kysely';
import type { NewAuthEvent } from '../core/auth-event.ts';
import type { ConfigSchemas, ConnectionKey } from '../core/connection.ts';
import type { Credential, RevocationOrder } from '../core/credential.ts';
import type { ConnectionStore, DeleteResult, SaveConnection, SaveResult } from '../core/ports.ts';
import { insertEvents } from './auth-events.ts';
import { draw, keysOf, toTimestamp } from './column-values.ts';
import type { ConnectionRow } from './connection-rows.ts';
import { configColumns, lockKeyOf, toConnection } from './connection-rows.ts';
import { COMPUTED, openSecrets, rowKey, selectCredentials, toCredential } from './credential-rows.ts';
import { grouped } from './grouped.ts';
import { moveToRevocations } from './revocations.ts';
import type { Database } from './schema.ts';
import { MOST_TOGETHER, settleWithin } from './settlement.ts';
import type { SettlementTools } from './settlement-tools.ts';

export type ConnectionStoreInput = SettlementTools & { db: Kysely<Database>; schemas: ConfigSchemas };

/** Thrown inside the transaction to undo it, and caught around it. */
class NotSaved extends Error {
  readonly reason: 'changed' | 'exists';

  constructor(reason: 'changed' | 'exists') {
    super(reason);
    this.reason = reason;
  }
}

function selectConnections(db: Kysely<Database>) {
  return db
    .selectFrom('connections')
    .leftJoin('connection_credentials as credential', (join) =>
      join.onRef('credential.kind', '=', 'connections.kind').onRef('credential.name', '=', 'connections.name'),
    )
    .selectAll('connections')
    .select(['credential.access_token', 'credential.refresh_token']);
}

/** A new connection and its credential, which is born `never_connected`; false when the name is taken. */
async function insertConnection(db: Kysely<Database>, tools: ConnectionStoreInput, input: SaveConnection) {
  const { key, source, description, actor } = input;
  const now = toTimestamp(tools.clock.now());
  const incarnation = tools.random.uuid();
  const inserted = await db
    .insertInto('connections')
    .values({
      ...key,
      incarnation,
      source,
      description,
      ...configColumns(tools.box, key, input.config),
      created_at: now,
      updated_at: now,
      updated_by: actor,
    })
    .onConflict((conflict) => conflict.columns(['kind', 'name']).doNothing())
    .returning('incarnation')
    .executeTakeFirst();
  if (!inserted) throw new NotSaved('exists');
  await db
    .insertInto('connection_credentials')
    .values({ ...key, incarnation, lock_key: lockKeyOf(key) })
    .execute();
}

async function updateConnection(
  db: Kysely<Database>,
  tools: ConnectionStoreInput,
  input: SaveConnection,
  expectedRevision: bigint,
) {
  const { key, source, description, actor } = input;
  const updated = await db
    .updateTable('connections')
    .set({
      source,
      description,
      ...configColumns(tools.box, key, input.config),
      revision: await draw(db, 'connection_revision_seq'),
      updated_at: toTimestamp(tools.clock.now()),
      updated_by: actor,
    })
    .where('kind', '=', key.kind)
    .where('name', '=', key.name)
    .where('revision', '=', expectedRevision)
    .returning('revision')
    .executeTakeFirst();
  if (!updated) throw new NotSaved('changed');
}

/**
 * A number that outranks every consent so far, drawn once no row is left that could be consumed before it.
 * @see protocol rule 3
 */
async function dropConsents(db: Kysely<Database>, key: ConnectionKey): Promise<void> {
  await db.deleteFrom('oauth_states').where('kind', '=', key.kind).where('name', '=', key.name).execute();
  await db
    .updateTable('connection_credentials')
    .set({ consent_seq: await draw(db, 'consent_seq') })
    .where('kind', '=', key.kind)
    .where('name', '=', key.name)
    .execute();
}

async function deleteConnection(
  db: Kysely<Database>,
  tools: ConnectionStoreInput,
  key: ConnectionKey,
  incarnation: string,
  eventsFor: (credential: Credential) => NewAuthEvent[],
  revoke: RevocationOrder | undefined,
): Promise<DeleteResult> {
  // The connection before its credential, as a save locks them.
  const connection = await db
    .selectFrom('connections')
    .select('incarnation')
    .where('kind', '=', key.kind)
    .where('name', '=', key.name)
    .where('incarnation', '=', incarnation)
    .forUpdate()
    .executeTakeFirst();
  if (!connection) return { deleted: false };
  const row = await selectCredentials(db)
    .where('kind', '=', key.kind)
    .where('name', '=', key.name)
    .forUpdate()
    .executeTakeFirstOrThrow();
  if (revoke) await moveToRevocations(db, tools, row, revoke);
  await db.deleteFrom('connections').where('kind', '=', key.kind).where('name', '=', key.name).execute();
  const credential = toCredential(row);
  await insertEvents(db, tools, [{ key, events: eventsFor(credential) }]);
  return { deleted: true, credential, secrets: openSecrets(tools.box, row) };
}

/** Connections that are asked for together are read together. */
function reader(db: Kysely<Database>) {
  return grouped<ConnectionKey, ConnectionRow | undefined>(
    async (keys) => {
      const rows = await selectConnections(db).where(keysOf(keys, 'connections')).execute();
      const byKey = new Map(rows.map((row) => [rowKey(row), row]));
      return keys.map((key) => () => byKey.get(rowKey(key)));
    },
    { most: MOST_TOGETHER },
  );
}

export function createConnectionStore(tools: ConnectionStoreInput): ConnectionStore {
  const { db, box, schemas } = tools;
  const read = reader(db);
  return {
    async list() {
      const rows = await selectConnections(db).orderBy('connections.kind').orderBy('connections.name').execute();
      return rows.map((row) => toConnection(box, schemas, row));
    },

    async listWithCredentials() {
      const rows = await db
        .selectFrom('connections')
        .innerJoin('connection_credentials', (join) =>
          join
            .onRef('connection_credentials.kind', '=', 'connections.kind')
            .onRef('connection_credentials.name', '=', 'connections.name'),
        )
        .selectAll('connection_credentials')
        .selectAll('connections')
        .select(COMPUTED)
        .orderBy('connections.kind')
        .orderBy('connections.name')
        .execute();
      return rows.map((row) => ({ connection: toConnection(box, schemas, row), credential: toCredential(row) }));
    },

    async read(key) {
      const row = await read(key);
      return row && toConnection(box, schemas, row);
    },

    async save(input): Promise<SaveResult> {
      const { key, expected_revision, settlement } = input;
      try {
        return await db.transaction().execute(async (transaction) => {
          if (expected_revision === null) await insertConnection(transaction, tools, input);
          else await updateConnection(transaction, tools, input, expected_revision);
          if (settlement) {
            const settled = await settleWithin(transaction, tools, settlement);
            if (!settled.applied) throw new NotSaved('changed');
          }
          if (input.drop_consents) await dropConsents(transaction, key);
          const row = await selectConnections(transaction)
            .where('connections.kind', '=', key.kind)
            .where('connections.name', '=', key.name)
            .executeTakeFirstOrThrow();
          return { saved: true, connection: toConnection(box, schemas, row) };
        });
      } catch (error) {
        if (error instanceof NotSaved) return { saved: false, reason: error.reason };
        throw error;
      }
    },

    delete: (key, incarnation, eventsFor, revoke) =>
      db
        .transaction()
        .execute((transaction) => deleteConnection(transaction, tools, key, incarnation, eventsFor, revoke)),
  };
}
