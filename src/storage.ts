import { join } from 'node:path';
import { systemClock, systemRandom } from './clock.ts';
import type { Config } from './config.ts';
import type { ConfigSchemas } from './core/connection.ts';
import type { Escrow, Log, Stores } from './core/ports.ts';
import { DATABASE_IMAGE } from './database-image.ts';
import { loadEncryptionKey } from './db/encryption-key.ts';
import { checkEncryptionKeys } from './db/encryption-keys.ts';
import { createFileEscrow, ESCROW_FOLDER } from './db/escrow.ts';
import { migrate } from './db/migrate.ts';
import { migrations } from './db/migrations/index.ts';
import { type OpenDatabase, type OpenDatabaseOptions, openDatabase } from './db/open.ts';
import { readReplicaIdentity } from './db/replica-identity.ts';
import { createSecretBox, type SecretBox } from './db/secret-box.ts';
import { createStores } from './db/stores.ts';
import { settleWaitingEscrow } from './db/transfer/escrow-files.ts';
import { hasCredentials } from './db/transfer/tables.ts';
import type { Teardown } from './teardown.ts';

export type Storage = {
  opened: OpenDatabase;
  stores: Stores;
  box: SecretBox;
  escrow: Escrow;
  self: { replica_id: string; boot_id: bigint };
};

/** The database that the configuration names, its schema as it is. */
export function openConfiguredDatabase(
  { data_dir, database_url }: Config,
  log: Log,
  engine: Pick<OpenDatabaseOptions, 'onEngineLost' | 'engineAhead'> = {},
): Promise<OpenDatabase> {
  const ports = { log, clock: systemClock, random: systemRandom };
  return openDatabase({ ...ports, databaseUrl: database_url, dataDir: data_dir, imagePath: DATABASE_IMAGE, ...engine });
}

/** Opens what outlives the process: the database at its newest schema, the key to it, the escrow, and who we are. */
export async function openStorage(
  config: Config,
  log: Log,
  schemas: ConfigSchemas,
  teardown: Teardown,
  engine: Pick<OpenDatabaseOptions, 'onEngineLost' | 'engineAhead'>,
): Promise<Storage> {
  const { data_dir, database_url } = config;
  const key = await loadEncryptionKey({
    configured: config.encryption_key,
    dataDir: data_dir,
    allowCreate: database_url === undefined,
    random: systemRandom,
  });
  if (key.origin === 'created')
    log.info('an encryption key was created; back it up: without it no token can be read', { path: key.path });
  const opened = await openConfiguredDatabase(config, log, engine);
  teardown.add(() => opened.close());
  await migrate(opened.db, { migrations, log });
  await settleWaitingEscrow(data_dir, () => hasCredentials(opened.db));
  const box = createSecretBox({ keys: [key], random: systemRandom });
  const check = await checkEncryptionKeys({ db: opened.db, box, clock: systemClock });
  if (!check.ok) throw check.error;
  const { db, claimer } = opened;
  const stores = createStores({ db, clock: systemClock, random: systemRandom, box, schemas, claimer });
  const replica_id = await readReplicaIdentity({ dataDir: data_dir, random: systemRandom });
  const self = { replica_id, boot_id: await stores.replicas.boot(replica_id) };
  const escrow = createFileEscrow({ directory: join(data_dir, ESCROW_FOLDER), box, log });
  return { opened, stores, box, escrow, self };
}
