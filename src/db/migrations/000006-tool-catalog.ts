import { statements } from './statements.ts';

export const toolCatalog = statements(
  [
    `create table if not exists tool_catalog (
      kind text not null,
      name text not null,
      incarnation uuid not null,
      tools jsonb not null,
      listed_at timestamptz not null,
      primary key (kind, name),
      constraint tool_catalog_connection_fkey
        foreign key (kind, name, incarnation) references connections (kind, name, incarnation) on delete cascade
    )`,
    `create table if not exists tool_names (
      published_name text primary key,
      kind text not null,
      name text not null,
      tool text not null,
      constraint tool_names_source_key unique (kind, name, tool),
      constraint tool_names_connection_fkey
        foreign key (kind, name) references connections (kind, name) on delete cascade
    )`,
  ],
  ['drop table if exists tool_names', 'drop table if exists tool_catalog'],
);
