import { sql } from 'kysely';
import type { CredentialRow } from './credential-rows.ts';
import type { TakenIntent } from './schema.ts';

const field = <T>(name: keyof TakenIntent, type: 'text' | 'bigint' | 'timestamptz') =>
  sql<T | null>`cast(taken_intent ->> ${sql.lit(name)} as ${sql.raw(type)})`;

/** The open intent as a claim remembers it when it takes its place. */
export const TAKEN = sql<string>`jsonb_build_object(
  'attempt_id', intent_attempt_id, 'replica_id', intent_replica_id, 'boot_id', intent_boot_id,
  'fingerprint', intent_fingerprint, 'at', intent_at)`;

/**
 * An attempt ends without having decided about the one that it took the place of: was not sent, was not processed, or was
 * answered about something else. The successor may still lie in the escrow of that one's owner, whose lease and owner
 * count again (rules 7, 14, 15), by the time at which it was claimed. Where nothing was taken, there is none.
 */
export const GIVEN_BACK = {
  intent_attempt_id: field<string>('attempt_id', 'text'),
  intent_replica_id: field<string>('replica_id', 'text'),
  intent_boot_id: field<bigint>('boot_id', 'bigint'),
  intent_fingerprint: field<string>('fingerprint', 'text'),
  intent_at: field<Date>('at', 'timestamptz'),
};

/** The same, worked out from a row that is locked. An attempt that was given back itself is not open any more: none is. */
export function givenBack({
  taken_intent,
  intent_attempt_id,
}: Pick<CredentialRow, 'taken_intent' | 'intent_attempt_id'>) {
  const older = taken_intent?.attempt_id === intent_attempt_id ? null : taken_intent;
  return {
    intent_attempt_id: older?.attempt_id ?? null,
    intent_replica_id: older?.replica_id ?? null,
    intent_boot_id: older ? BigInt(older.boot_id) : null,
    intent_fingerprint: older?.fingerprint ?? null,
    intent_at: older ? new Date(older.at) : null,
  };
}
