import { statements } from './statements.ts';

/** Digests, never what the upstream wrote. The unique index keeps the same change of one day once, on all replicas. */
export const toolChanges = statements(
  [
    `create table if not exists tool_changes (
      id uuid primary key,
      occurred_at timestamptz not null,
      day date not null,
      connection_kind text not null,
      connection_name text not null,
      tool text not null,
      change text not null constraint tool_changes_change_check check (change in ('added', 'removed', 'changed')),
      parts jsonb not null,
      before_digest text not null,
      after_digest text not null
    )`,
    `create unique index if not exists tool_changes_once
      on tool_changes (connection_kind, connection_name, day, tool, before_digest, after_digest)`,
    `create index if not exists tool_changes_connection on tool_changes (connection_kind, connection_name, id desc)`,
  ],
  [
    'drop index if exists tool_changes_connection',
    'drop index if exists tool_changes_once',
    'drop table if exists tool_changes',
  ],
);
