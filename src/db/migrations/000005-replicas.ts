import { statements } from './statements.ts';

export const replicas = statements(
  [
    'create sequence if not exists boot_seq as bigint',
    `create table if not exists replicas (
      replica_id text primary key,
      boot_id bigint not null,
      last_seen timestamptz not null,
      drained_boot bigint
    )`,
  ],
  ['drop table if exists replicas', 'drop sequence if exists boot_seq'],
);
