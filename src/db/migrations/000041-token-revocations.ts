import { FIRST_EVENT_TYPES, isEventType } from './000040-connection-auth-events.ts';
import { statements } from './statements.ts';

const dropCheck = `alter table connection_auth_events drop constraint if exists connection_auth_events_event_type_check`;

function addCheck(types: readonly string[]): string {
  return `alter table connection_auth_events add constraint connection_auth_events_event_type_check
    check (${isEventType(types)})`;
}

/** No foreign key: what is to be revoked outlives the connection that it was deleted with. */
export const tokenRevocations = statements(
  [
    `create table if not exists token_revocations (
      id text primary key,
      kind text not null,
      name text not null,
      actor text not null,
      binding jsonb not null,
      origin_of_trust text not null,
      refresh_token bytea,
      access_token bytea,
      client_secret bytea,
      attempts integer not null default 0,
      created_at timestamptz not null,
      next_at timestamptz not null,
      constraint token_revocations_token_check check (num_nonnulls(refresh_token, access_token) > 0)
    )`,
    'create index if not exists token_revocations_due on token_revocations (next_at)',
    dropCheck,
    addCheck([...FIRST_EVENT_TYPES, 'token_revocation_failed']),
  ],
  [
    'drop table if exists token_revocations',
    `delete from connection_auth_events where event_type = 'token_revocation_failed'`,
    dropCheck,
    addCheck(FIRST_EVENT_TYPES),
  ],
);
