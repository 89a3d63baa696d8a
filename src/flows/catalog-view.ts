import { type AccessRules, permits, reaches } from '../core/access-rule.ts';
import type { ConnectionKey } from '../core/connection.ts';
import { isRecord } from '../core/json-shape.ts';
import type { UpstreamAbout, UpstreamPrompt, UpstreamTool } from '../core/ports.ts';
import { sourceUri } from '../core/resource-uri.ts';
import { publishedToolName } from '../core/tool-name.ts';
import type { CatalogView, Target, ToolLookup } from './catalog-api.ts';
import { mergedCapabilities, relayedAbout, toolsAlone } from './catalog-capabilities.ts';
import type { CatalogMember } from './catalog-member.ts';
import type { Published } from './catalog-published.ts';

function targetOf(member: CatalogMember, prefix: string | undefined): Target {
  return {
    key: member.key,
    upstream: member.upstream,
    state: member.state,
    prefix,
    note: (error) => member.note(error),
  };
}

const UNKNOWN: ToolLookup = { found: false, reason: 'unknown' };

function notListed({ key, error }: CatalogMember, tool: string): ToolLookup {
  return { found: false, reason: 'not_listed', key, tool, failure: error };
}

function denied(key: ConnectionKey, tool: string): ToolLookup {
  return { found: false, reason: 'denied', key, tool };
}

/** One connection, as its upstream offers it. */
export function connectionView(member: CatalogMember, access: AccessRules): CatalogView {
  const { knowledge, key } = member;
  const permitted = (tool?: string) => permits({ access }, key, tool);
  const tools = knowledge.tools.filter((tool) => permitted(tool.name));
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  const others = permitted();
  const about = relayedAbout(knowledge.about);
  return {
    about: others ? about : { ...about, capabilities: toolsAlone(about.capabilities) },
    tools,
    prompts: others ? knowledge.prompts : [],
    resources: others ? knowledge.resources : [],
    resource_templates: others ? knowledge.resource_templates : [],
    tool(name, args) {
      const definition = byName.get(name);
      if (!permitted(name)) return denied(key, name);
      // What an upstream does not list may still be there, and is asked for; a list never read proves nothing.
      if (!definition && member.listed_at === null) return notListed(member, name);
      return { found: true, ...targetOf(member, undefined), tool: name, definition, arguments: args };
    },
    prompt: (name) => (others ? { ...targetOf(member, undefined), name } : undefined),
    resource: (uri) => (others ? { ...targetOf(member, undefined), uri } : undefined),
  };
}

type PublishedTool = { published: Published; tool: UpstreamTool };
/** The connections behind one tool of a kind that shares its tools, by name. */
type SharedTool = { argument: string; tool: UpstreamTool; connections: Map<string, Published> };

/** Everything that a principal may use, merged. */
class MergedView implements CatalogView {
  readonly about: UpstreamAbout;
  readonly tools: UpstreamTool[] = [];
  readonly prompts: UpstreamPrompt[] = [];
  readonly resources: CatalogView['resources'];
  readonly resource_templates: CatalogView['resource_templates'];
  readonly #members: readonly Published[];
  /** Those of which more than tools may be used. */
  readonly #whole: ReadonlySet<Published>;
  readonly #byPrefix = new Map<string, Published>();
  readonly #tools = new Map<string, PublishedTool>();
  readonly #shared = new Map<string, SharedTool>();
  readonly #prompts = new Map<string, { published: Published; name: string }>();

  constructor(members: readonly Published[], access: AccessRules) {
    this.#members = members;
    const visible = members.filter(({ member }) => reaches({ access }, member.key));
    const whole = visible.filter(({ member }) => permits({ access }, member.key));
    for (const published of visible) {
      this.#byPrefix.set(published.prefix, published);
      if (!published.shared) this.#addTools(published, access);
    }
    for (const published of visible) if (published.shared) this.#addShared(published, published.shared, access);
    for (const [name, shared] of this.#shared) this.tools.push(sharedTool(name, shared));
    for (const published of whole) this.#addPrompts(published);
    this.#whole = new Set(whole);
    this.resources = whole.flatMap(({ resources }) => resources);
    this.resource_templates = whole.flatMap(({ resource_templates }) => resource_templates);
    this.about = { capabilities: mergedCapabilities(visible.map(({ member }) => member.knowledge.about)) };
  }

  #addTools(published: Published, access: AccessRules): void {
    const { member, tools } = published;
    for (const [index, tool] of member.knowledge.tools.entries()) {
      const shown = tools[index];
      if (!shown || !permits({ access }, member.key, tool.name)) continue;
      this.tools.push(shown);
      this.#tools.set(shown.name, { published, tool });
    }
  }

  #addShared(published: Published, { argument }: { argument: string }, access: AccessRules): void {
    const { key } = published.member;
    for (const tool of published.tools) {
      if (!permits({ access }, key, tool.name)) continue;
      const name = this.#tools.has(tool.name) ? publishedToolName(key.kind, tool.name) : tool.name;
      const shared = this.#shared.get(name) ?? { argument, tool, connections: new Map() };
      shared.connections.set(key.name, published);
      this.#shared.set(name, shared);
    }
  }

  #addPrompts(published: Published): void {
    for (const [index, prompt] of published.member.knowledge.prompts.entries()) {
      const shown = published.prompts[index];
      if (!shown) continue;
      this.prompts.push(shown);
      this.#prompts.set(shown.name, { published, name: prompt.name });
    }
  }

  tool(name: string, args: unknown): ToolLookup {
    const found = this.#tools.get(name);
    if (found) {
      const { published, tool } = found;
      const target = targetOf(published.member, published.prefix);
      return { found: true, ...target, tool: tool.name, definition: tool, arguments: args };
    }
    const shared = this.#shared.get(name);
    if (shared) return lookupShared(shared, args);
    for (const { prefix, member } of this.#byPrefix.values()) {
      const asked = `${prefix}__`;
      if (member.listed_at === null && name.startsWith(asked)) return notListed(member, name.slice(asked.length));
    }
    return this.#denied(name) ?? UNKNOWN;
  }

  /** Looked for where a name is not found, because hardly anybody asks for what may not be used. */
  #denied(name: string): ToolLookup | undefined {
    for (const { shared, tools, member } of this.#members) {
      const tool = shared ? undefined : member.knowledge.tools[tools.findIndex((one) => one.name === name)];
      if (tool) return denied(member.key, tool.name);
    }
    return undefined;
  }

  prompt(name: string) {
    const found = this.#prompts.get(name);
    return found && { ...targetOf(found.published.member, found.published.prefix), name: found.name };
  }

  resource(uri: string) {
    const source = sourceUri(uri);
    const published = source && this.#byPrefix.get(source.prefix);
    if (!published || !this.#whole.has(published)) return undefined;
    return { ...targetOf(published.member, published.prefix), uri: source.uri };
  }
}

/** The tool with one more argument: which connection. */
function sharedTool(name: string, { argument, tool, connections }: SharedTool): UpstreamTool {
  const schema = isRecord(tool.inputSchema) ? tool.inputSchema : {};
  const which = { type: 'string', enum: [...connections.keys()], description: 'The connection to use.' };
  const required: unknown[] = Array.isArray(schema.required) ? schema.required : [];
  const properties = { [argument]: which, ...(isRecord(schema.properties) ? schema.properties : {}) };
  return { ...tool, name, inputSchema: { ...schema, type: 'object', properties, required: [argument, ...required] } };
}

function lookupShared({ argument, tool, connections }: SharedTool, args: unknown): ToolLookup {
  const { [argument]: named, ...rest } = isRecord(args) ? args : {};
  const published = typeof named === 'string' ? connections.get(named) : undefined;
  if (!published) return { found: false, reason: 'which_connection', argument, connections: [...connections.keys()] };
  const definition = published.member.knowledge.tools.find((one) => one.name === tool.name);
  const target = targetOf(published.member, published.prefix);
  return { found: true, ...target, tool: tool.name, definition, arguments: rest };
}

export function mergedView(members: readonly Published[], access: AccessRules): CatalogView {
  return new MergedView(members, access);
}
