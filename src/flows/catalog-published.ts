import type { ConnectionKey } from '../core/connection.ts';
import type {
  PublishedName,
  UpstreamCatalog,
  UpstreamPrompt,
  UpstreamResource,
  UpstreamTemplate,
  UpstreamTool,
} from '../core/ports.ts';
import { publishedUri, withMappedUi, withMappedUri } from '../core/resource-uri.ts';
import type { CatalogMember, MemberState } from './catalog-member.ts';
import type { NameMap } from './catalog-names.ts';

/** The key of `_meta` under which a tool tells which connection it belongs to and how that is. */
export const CONNECTION_META = 'mcp-data-platform/connection';

/** One connection's items as the merged list has them. `tools` and `prompts` are in the order of the upstream's. */
export type Published = {
  member: CatalogMember;
  prefix: string;
  /** Present for a kind whose connections all offer the same tools. */
  shared: { argument: string } | undefined;
  tools: readonly UpstreamTool[];
  prompts: readonly UpstreamPrompt[];
  resources: readonly UpstreamResource[];
  resource_templates: readonly UpstreamTemplate[];
};

type Made = { known: UpstreamCatalog; state: MemberState; published: Published };

/** Publishes members, and makes again only what has changed since. */
export class Publisher {
  readonly #names: NameMap;
  #made = new WeakMap<CatalogMember, Made>();

  constructor(names: NameMap) {
    this.#names = names;
  }

  /** The names that were given since the last look, to be stored. */
  takeAdded(): PublishedName[] {
    return this.#names.takeAdded();
  }

  forget({ kind, name }: ConnectionKey): void {
    this.#names.forget(kind, name);
  }

  /** @returns the connections that are to be published again, because the names that are stored are others */
  settle(stored: readonly PublishedName[]): ConnectionKey[] {
    const changed = this.#names.settle(stored);
    if (changed.length > 0) this.#made = new WeakMap();
    return changed;
  }

  publish(member: CatalogMember, shared: { argument: string } | undefined): Published {
    const { knowledge: known, state } = member;
    const made = this.#made.get(member);
    if (made?.known === known && made.state === state) return made.published;
    const published = this.#publish(member, shared);
    this.#made.set(member, { known, state, published });
    return published;
  }

  #publish(member: CatalogMember, shared: { argument: string } | undefined): Published {
    const { key, state } = member;
    const { tools, prompts, resources, resource_templates } = member.knowledge;
    const prefix = this.#names.prefix(key);
    const uri = (source: string) => publishedUri(prefix, source);
    const about = { kind: key.kind, name: key.name, state };
    const meta = (item: Record<string, unknown>) => {
      const own = typeof item._meta === 'object' && item._meta !== null ? item._meta : {};
      return { ...own, [CONNECTION_META]: about };
    };
    const named = (item: 'tool' | 'prompt', name: string) => this.#names.name(item, { ...key, tool: name });
    return {
      member,
      prefix,
      shared,
      tools: shared
        ? tools
        : tools.map((tool) => withMappedUi({ ...tool, name: named('tool', tool.name), _meta: meta(tool) }, uri)),
      prompts: prompts.map((prompt) => ({ ...prompt, name: named('prompt', prompt.name), _meta: meta(prompt) })),
      resources: resources.map((one) => withMappedUi(withMappedUri(one, 'uri', uri), uri)),
      resource_templates: resource_templates.map((one) => withMappedUi(withMappedUri(one, 'uriTemplate', uri), uri)),
    };
  }
}
