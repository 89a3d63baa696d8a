import { statements } from './statements.ts';

export const connections = statements(
  [
    'create sequence if not exists connection_revision_seq as bigint',
    `create table if not exists connections (
      kind text not null,
      name text not null,
      incarnation uuid not null,
      source text not null constraint connections_source_check check (source in ('api', 'file')),
      description text not null,
      config jsonb not null,
      config_secrets bytea,
      revision bigint not null default nextval('connection_revision_seq'),
      created_at timestamptz not null,
      updated_at timestamptz not null,
      updated_by text not null,
      primary key (kind, name),
      constraint connections_incarnation_key unique (kind, name, incarnation)
    )`,
  ],
  ['drop table if exists connections', 'drop sequence if exists connection_revision_seq'],
);
