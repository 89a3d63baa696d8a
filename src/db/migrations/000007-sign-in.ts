import { statements } from './statements.ts';

export const signIn = statements(
  [
    `create table if not exists sign_in_links (
      token_hash text primary key,
      actor text not null,
      expires_at timestamptz not null
    )`,
    `create table if not exists sessions (
      session_hash text primary key,
      actor text not null,
      expires_at timestamptz not null
    )`,
  ],
  ['drop table if exists sessions', 'drop table if exists sign_in_links'],
);
