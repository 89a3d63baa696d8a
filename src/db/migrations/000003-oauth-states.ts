import { statements } from './statements.ts';

export const oauthStates = statements(
  [
    `create table if not exists oauth_states (
      state_hash text primary key,
      kind text not null,
      name text not null,
      incarnation uuid not null,
      redirect_uri text not null,
      code_verifier bytea not null,
      binding jsonb not null,
      client_secret bytea,
      issuer text,
      iss_required boolean not null,
      authorization_url bytea not null,
      actor text not null,
      return_url text not null,
      browser_binding_hash text,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      consumed_at timestamptz,
      consent_seq bigint,
      constraint oauth_states_consumed_check check ((consumed_at is null) = (consent_seq is null)),
      constraint oauth_states_connection_fkey
        foreign key (kind, name, incarnation) references connections (kind, name, incarnation) on delete cascade
    )`,
    'create index if not exists oauth_states_connection on oauth_states (kind, name, expires_at)',
    'create index if not exists oauth_states_expires_at on oauth_states (expires_at)',
  ],
  ['drop table if exists oauth_states'],
);
