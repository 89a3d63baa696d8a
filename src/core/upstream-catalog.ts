import type { ConnectionKey } from './connection.ts';
import type { Instant } from './token-set.ts';
import type { ListKind, UpstreamTool } from './toolkit.ts';

/** What an upstream lists beside its tools, verbatim: fields that we do not know are kept. */
export type UpstreamPrompt = { name: string } & Record<string, unknown>;
export type UpstreamResource = { uri: string } & Record<string, unknown>;
export type UpstreamTemplate = { uriTemplate: string } & Record<string, unknown>;

/** What an upstream says of itself. */
export type UpstreamAbout = {
  capabilities: Record<string, unknown>;
  serverInfo?: Record<string, unknown>;
  instructions?: string;
};

/** All that is known of what one connection offers. */
export type UpstreamCatalog = {
  tools: UpstreamTool[];
  prompts: UpstreamPrompt[];
  resources: UpstreamResource[];
  resource_templates: UpstreamTemplate[];
  /** null: it has never said. */
  about: UpstreamAbout | null;
  /** null: never listed. */
  listed_at: Instant | null;
};

export const NOTHING_LISTED: UpstreamCatalog = {
  tools: [],
  prompts: [],
  resources: [],
  resource_templates: [],
  about: null,
  listed_at: null,
};

/** Which lists a client must read again. Templates are told of with the resources, as in the protocol. */
export function changedLists(before: UpstreamCatalog, after: UpstreamCatalog): ListKind[] {
  const same = (...parts: Array<keyof UpstreamCatalog>) =>
    parts.every((part) => before[part] === after[part] || JSON.stringify(before[part]) === JSON.stringify(after[part]));
  const lists: ListKind[] = [];
  if (!same('tools')) lists.push('tools');
  if (!same('prompts')) lists.push('prompts');
  if (!same('resources', 'resource_templates')) lists.push('resources');
  return lists;
}

/** What is stored of a connection that has been listed. */
export type CatalogEntry = UpstreamCatalog & { key: ConnectionKey; incarnation: string; listed_at: Instant };

/**
 * Under which name something is published, stable once given. `connection`: the prefix of a connection's names, which
 * is also its address under `/mcp/`; its `tool` is empty. `prompt`: `tool` is the upstream's name of the prompt.
 */
export type PublishedName = {
  item: 'connection' | 'tool' | 'prompt';
  published_name: string;
  kind: string;
  name: string;
  tool: string;
};
