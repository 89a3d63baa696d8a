import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { ReplicaStore } from '../core/ports.ts';
import { draw } from './column-values.ts';
import type { Database } from './schema.ts';

/** `last_seen` is written by the database's clock: other replicas measure by it how long this one has been silent. */
export function createReplicaStore(db: Kysely<Database>): ReplicaStore {
  return {
    async boot(replica_id) {
      const boot_id = await draw(db, 'boot_seq');
      await sql`
        insert into replicas (replica_id, boot_id, last_seen) values (${replica_id}, ${boot_id}, clock_timestamp())
        on conflict (replica_id) do update set boot_id = excluded.boot_id, last_seen = excluded.last_seen`.execute(db);
      return boot_id;
    },

    async seen(replica_id, boot_id) {
      const seen = await sql`
        update replicas set last_seen = clock_timestamp() where replica_id = ${replica_id}
          and boot_id = coalesce(cast(${boot_id ?? null} as bigint), boot_id) returning boot_id`.execute(db);
      return seen.rows.length > 0;
    },

    async drained(replica_id, boot_id) {
      await sql`
        update replicas set drained_boot = greatest(coalesce(drained_boot, 0), cast(${boot_id} as bigint))
        where replica_id = ${replica_id}`.execute(db);
    },
  };
}
