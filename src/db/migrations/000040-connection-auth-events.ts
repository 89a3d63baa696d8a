import { statements } from './statements.ts';

/** Later migrations add to them. */
export const FIRST_EVENT_TYPES = [
  'connect_started',
  'connect_completed',
  'connect_failed',
  'refresh_succeeded',
  'refresh_failed_transient',
  'refresh_failed_misconfigured',
  'refresh_failed_revoked',
  'refresh_rotation_persistence_failed',
  'rotation_recovered',
  'token_deleted_revoked',
  'token_deleted_admin',
  'token_revoked_upstream',
] as const;

/** The condition that closes the list of event types. */
export function isEventType(types: readonly string[]): string {
  return `event_type in (${types.map((type) => `'${type}'`).join(', ')})`;
}

/**
 * No foreign key: the history of a connection outlives it. `sequence` is the primary key, because it is the order in
 * which events are read and paged; `id` is 122 random bits and needs no index of its own.
 */
export const connectionAuthEvents = statements(
  [
    `create table if not exists connection_auth_events (
      id uuid not null,
      occurred_at timestamptz not null,
      connection_kind text not null,
      connection_name text not null,
      event_type text not null constraint connection_auth_events_event_type_check check (${isEventType(FIRST_EVENT_TYPES)}),
      actor text not null,
      idp_host text,
      detail jsonb not null default '{}'::jsonb,
      sequence bigint generated always as identity primary key
    )`,
    `create index if not exists connection_auth_events_connection
      on connection_auth_events (connection_kind, connection_name, occurred_at desc, sequence desc)`,
    'create index if not exists connection_auth_events_occurred_at on connection_auth_events (occurred_at)',
  ],
  [
    'drop index if exists connection_auth_events_occurred_at',
    'drop index if exists connection_auth_events_connection',
    'drop table if exists connection_auth_events',
  ],
);
