import { statements } from './statements.ts';

export const connectionCredentials = statements(
  [
    'create sequence if not exists credential_generation_seq as bigint',
    'create sequence if not exists consent_seq as bigint',
    `create table if not exists connection_credentials (
      kind text not null,
      name text not null,
      incarnation uuid not null,
      lock_key bigint not null,
      generation bigint not null default nextval('credential_generation_seq'),
      consent_seq bigint not null default 0,
      state text not null default 'never_connected'
        constraint connection_credentials_state_check check (state in ('never_connected', 'connected', 'revoked')),
      access_token bytea,
      refresh_token bytea,
      client_secret bytea,
      token_type text,
      scope text,
      expires_at timestamptz,
      refresh_expires_at timestamptz,
      refresh_token_fingerprint text,
      received_at timestamptz,
      refresh_used_at timestamptz,
      last_refreshed_at timestamptz,
      authenticated_by text,
      authenticated_at timestamptz,
      binding jsonb,
      token_host text,
      intent_attempt_id text,
      intent_replica_id text,
      intent_boot_id bigint,
      intent_fingerprint text,
      intent_at timestamptz,
      ambiguous boolean not null default false,
      failure_type text
        constraint connection_credentials_failure_check check (failure_type in ('transient', 'misconfigured')),
      failure_since timestamptz,
      failure_last_at timestamptz,
      failure_count integer,
      failure_error_code text,
      failure_error_class text,
      revocation_occurred_at timestamptz,
      revocation_reason text,
      revocation_idp_host text,
      revocation_decided_by text
        constraint connection_credentials_decider_check
        check (revocation_decided_by in ('idp', 'platform', 'person')),
      revoked_from_generation bigint,
      next_refresh_at timestamptz,
      next_refresh_reason text,
      settled_attempt_id text,
      primary key (kind, name),
      constraint connection_credentials_connection_fkey
        foreign key (kind, name, incarnation) references connections (kind, name, incarnation) on delete cascade,
      constraint connection_credentials_token_check check (
        (state = 'connected') = (access_token is not null)
        and (state <> 'connected' or (binding is not null and received_at is not null and token_type is not null))
        and (state = 'connected' or (refresh_token is null and next_refresh_at is null and intent_attempt_id is null))
      ),
      constraint connection_credentials_revocation_check check (
        state <> 'revoked' or (revocation_occurred_at is not null and revocation_reason is not null
          and revocation_decided_by is not null and revoked_from_generation is not null)
      ),
      constraint connection_credentials_intent_check check (
        num_nulls(intent_attempt_id, intent_replica_id, intent_boot_id, intent_at) in (0, 4)
      )
    )`,
    `create index if not exists connection_credentials_due
      on connection_credentials (next_refresh_at) where next_refresh_at is not null`,
  ],
  [
    'drop table if exists connection_credentials',
    'drop sequence if exists consent_seq',
    'drop sequence if exists credential_generation_seq',
  ],
);
