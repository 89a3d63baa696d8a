import { statements } from './statements.ts';

/** A server that does not know the new columns writes and reads the tools as before: the others have defaults. */
export const upstreamCatalog = statements(
  [
    "alter table tool_catalog add column if not exists prompts jsonb not null default '[]'",
    "alter table tool_catalog add column if not exists resources jsonb not null default '[]'",
    "alter table tool_catalog add column if not exists resource_templates jsonb not null default '[]'",
    'alter table tool_catalog add column if not exists about jsonb',
    "alter table tool_names add column if not exists item text not null default 'tool'",
    'alter table tool_names drop constraint if exists tool_names_pkey',
    'alter table tool_names add constraint tool_names_pkey primary key (item, published_name)',
    'alter table tool_names drop constraint if exists tool_names_source_key',
    'alter table tool_names add constraint tool_names_source_key unique (item, kind, name, tool)',
  ],
  [
    // Without its column, the statement after it would fail where this ran before.
    "alter table tool_names add column if not exists item text not null default 'tool'",
    "delete from tool_names where item <> 'tool'",
    'alter table tool_names drop constraint if exists tool_names_source_key',
    'alter table tool_names add constraint tool_names_source_key unique (kind, name, tool)',
    'alter table tool_names drop constraint if exists tool_names_pkey',
    'alter table tool_names add constraint tool_names_pkey primary key (published_name)',
    'alter table tool_names drop column if exists item',
    'alter table tool_catalog drop column if exists about',
    'alter table tool_catalog drop column if exists resource_templates',
    'alter table tool_catalog drop column if exists resources',
    'alter table tool_catalog drop column if exists prompts',
  ],
);
