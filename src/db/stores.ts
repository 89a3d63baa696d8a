import type { Kysely } from 'kysely';
import type { ConfigSchemas } from '../core/connection.ts';
import type { Clock, Random, Stores } from '../core/ports.ts';
import { createAccessStore } from './access.ts';
import { createAuthEventStore } from './auth-events.ts';
import { createCallRecordStore } from './call-records.ts';
import { createCatalogStore } from './catalog.ts';
import { createConnectionStore } from './connections.ts';
import { createConsentStore } from './consents.ts';
import { createCredentialStore } from './credentials.ts';
import { guardStore } from './driver-errors.ts';
import type { DueClaimer } from './due-credentials.ts';
import { createIncidentStore } from './incidents.ts';
import { createRegistrationStore } from './registrations.ts';
import { createReplicaStore } from './replicas.ts';
import { createRevocationStore } from './revocations.ts';
import type { Database } from './schema.ts';
import type { SecretBox } from './secret-box.ts';
import { createToolChangeStore } from './tool-changes.ts';

export type StoresInput = {
  db: Kysely<Database>;
  clock: Clock;
  random: Random;
  box: SecretBox;
  schemas: ConfigSchemas;
  /** The lock session of this replica; absent when embedded, where one process needs no lock. */
  claimer?: DueClaimer;
};

/** Every store over one database. No error of the driver leaves them as it is. */
export function createStores(input: StoresInput): Stores {
  const { db } = input;
  return {
    connections: guardStore(createConnectionStore(input)),
    credentials: guardStore(createCredentialStore(input)),
    events: guardStore(createAuthEventStore(db, input)),
    consents: guardStore(createConsentStore(input)),
    registrations: guardStore(createRegistrationStore(input)),
    revocations: guardStore(createRevocationStore(input)),
    incidents: guardStore(createIncidentStore(db)),
    replicas: guardStore(createReplicaStore(db)),
    catalog: guardStore(createCatalogStore(db)),
    access: guardStore(createAccessStore(db)),
    calls: guardStore(createCallRecordStore(db)),
    toolChanges: guardStore(createToolChangeStore(db)),
  };
}
