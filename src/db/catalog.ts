import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { CatalogEntry, CatalogStore } from '../core/ports.ts';
import { json, toInstant, toTimestamp } from './column-values.ts';
import type { Database, ToolCatalogTable } from './schema.ts';

function entryOf({ kind, name, listed_at, ...known }: Selectable<ToolCatalogTable>): CatalogEntry {
  return { key: { kind, name }, ...known, listed_at: toInstant(listed_at) };
}

const orNull = (value: unknown) => (value === null ? sql`null::jsonb` : json(value));

export function createCatalogStore(db: Kysely<Database>): CatalogStore {
  return {
    async list() {
      const rows = await db.selectFrom('tool_catalog').selectAll().orderBy('kind').orderBy('name').execute();
      return rows.map(entryOf);
    },

    async read({ kind, name }) {
      const row = await db
        .selectFrom('tool_catalog')
        .selectAll()
        .where('kind', '=', kind)
        .where('name', '=', name)
        .executeTakeFirst();
      return row && entryOf(row);
    },

    /** A list of an incarnation that is gone is dropped without a word: nobody is left to want it. */
    async save({ key, incarnation, tools, prompts, resources, resource_templates, about, listed_at }) {
      await sql`
        insert into tool_catalog
          (kind, name, incarnation, tools, prompts, resources, resource_templates, about, listed_at)
        select kind, name, incarnation, ${json(tools)}, ${json(prompts)}, ${json(resources)},
          ${json(resource_templates)}, ${orNull(about)},
          cast(${toTimestamp(listed_at)} as timestamptz)
        from connections
        where kind = ${key.kind} and name = ${key.name} and incarnation = ${incarnation}
        for key share
        on conflict (kind, name) do update set
          incarnation = excluded.incarnation, tools = excluded.tools, prompts = excluded.prompts,
          resources = excluded.resources, resource_templates = excluded.resource_templates, about = excluded.about, listed_at = excluded.listed_at`.execute(
        db,
      );
    },

    names: () => db.selectFrom('tool_names').selectAll().orderBy('item').orderBy('published_name').execute(),

    /** A name once given stays given: of two replicas that name at the same time, the first one's names hold. */
    async saveNames(names) {
      if (names.length === 0) return;
      await sql`
        insert into tool_names (item, published_name, kind, name, tool)
        select given.item, given.published_name, given.kind, given.name, given.tool
        from jsonb_to_recordset(${json(names)})
          as given (item text, published_name text, kind text, name text, tool text)
        join connections on connections.kind = given.kind and connections.name = given.name
        order by given.item, given.published_name
        for key share of connections
        on conflict do nothing`.execute(db);
    },
  };
}
