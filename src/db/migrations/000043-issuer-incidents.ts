import { statements } from './statements.ts';

/** The index counts the connections of one authorization server, which each failure there asks for. */
export const issuerIncidents = statements(
  [
    `create table if not exists issuer_incidents (
      idp_host text primary key,
      opened_at timestamptz not null,
      probe_at timestamptz not null
    )`,
    'alter table connection_credentials add column if not exists held_since timestamptz',
    'alter table connection_credentials add column if not exists refresh_sent_at timestamptz',
    'create index if not exists connection_credentials_host on connection_credentials (token_host)',
  ],
  [
    'drop index if exists connection_credentials_host',
    'alter table connection_credentials drop column if exists refresh_sent_at',
    'alter table connection_credentials drop column if exists held_since',
    'drop table if exists issuer_incidents',
  ],
);
