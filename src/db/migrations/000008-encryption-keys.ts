import { statements } from './statements.ts';

export const encryptionKeys = statements(
  [
    `create table if not exists encryption_keys (
      key_id text primary key,
      check_value bytea not null,
      created_at timestamptz not null
    )`,
  ],
  ['drop table if exists encryption_keys'],
);
