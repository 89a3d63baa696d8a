import { statements } from './statements.ts';

export const oauthClients = statements(
  [
    `create table if not exists oauth_clients (
      kind text not null,
      name text not null,
      issuer text not null,
      redirect_uri text not null,
      client_id text not null,
      client_secret bytea,
      token_endpoint_auth_method text not null,
      client_secret_expires_at timestamptz,
      primary key (kind, name, issuer, redirect_uri),
      constraint oauth_clients_connection_fkey
        foreign key (kind, name) references connections (kind, name) on delete cascade
    )`,
  ],
  ['drop table if exists oauth_clients'],
);
