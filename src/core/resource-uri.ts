import { isRecord } from './json-shape.ts';

const UI = 'ui://';
const SCHEME = 'mcp+';
const PUBLISHED_UI = /^ui:\/\/([a-z0-9-]+)\/(.*)$/s;
const PUBLISHED = /^mcp\+([a-z0-9-]+)\+(.*)$/s;

/**
 * The URI under which the merged list publishes a resource: `mcp+<prefix>+<uri>`, and `ui://<prefix>/…` for `ui://…`,
 * whose scheme clients look at. Nothing of the upstream's URI is read or changed, so templates expand to the same as
 * their source would, and every published URI leads back. A prefix has no `+` and no `/`.
 * @see https://www.rfc-editor.org/rfc/rfc3986#section-3.1 a scheme may hold `+`
 * @see https://modelcontextprotocol.io/extensions/apps/overview for `ui://`
 */
export function publishedUri(prefix: string, uri: string): string {
  return uri.startsWith(UI) ? `${UI}${prefix}/${uri.slice(UI.length)}` : `${SCHEME}${prefix}+${uri}`;
}

/** undefined: none that {@link publishedUri} gave. */
export function sourceUri(published: string): { prefix: string; uri: string } | undefined {
  const ui = PUBLISHED_UI.exec(published);
  if (ui) return { prefix: ui[1] as string, uri: UI + (ui[2] as string) };
  const found = PUBLISHED.exec(published);
  return found ? { prefix: found[1] as string, uri: found[2] as string } : undefined;
}

type Json = Record<string, unknown>;
type MapUri = (uri: string) => string;

/** The flat key is of the first drafts of MCP Apps, which published servers still send beside the nested one. */
const FLAT_UI_KEY = 'ui/resourceUri';

/** A tool, or a result, whose `_meta` names the page of an MCP App. */
export function withMappedUi<T extends Json>(carrier: T, map: MapUri): T {
  const { _meta } = carrier;
  if (!isRecord(_meta)) return carrier;
  const nested = isRecord(_meta.ui) && typeof _meta.ui.resourceUri === 'string' ? _meta.ui : undefined;
  const flat = _meta[FLAT_UI_KEY];
  if (!nested && typeof flat !== 'string') return carrier;
  const mapped: Json = { ..._meta };
  if (nested) mapped.ui = { ...nested, resourceUri: map(nested.resourceUri as string) };
  if (typeof flat === 'string') mapped[FLAT_UI_KEY] = map(flat);
  return { ...carrier, _meta: mapped };
}

export function withMappedUri<T extends Json>(item: T, field: 'uri' | 'uriTemplate', map: MapUri): T {
  const uri = item[field];
  return typeof uri === 'string' ? { ...item, [field]: map(uri) } : item;
}

/** A resource link, or an embedded resource; every other block is left as it is. */
function mappedBlock(block: unknown, map: MapUri): unknown {
  if (!isRecord(block)) return block;
  if (block.type === 'resource_link') return withMappedUri(block, 'uri', map);
  if (block.type !== 'resource' || !isRecord(block.resource)) return block;
  return { ...block, resource: withMappedUri(block.resource, 'uri', map) };
}

function mappedList(list: unknown, map: (one: unknown) => unknown): unknown {
  if (!Array.isArray(list)) return list;
  const items: readonly unknown[] = list;
  let copy: unknown[] | undefined;
  for (const [index, one] of items.entries()) {
    const mapped = map(one);
    if (mapped !== one) {
      copy ??= [...items];
      copy[index] = mapped;
    }
  }
  return copy ?? items;
}

/** The result of `tools/call`, `prompts/get` or `resources/read` with every URI that leads to the upstream mapped. */
export function withMappedResult(method: string, result: Json, map: MapUri): Json {
  const mapped = withMappedUi(result, map);
  if (method === 'tools/call') {
    const content = mappedList(result.content, (block) => mappedBlock(block, map));
    return content === result.content ? mapped : { ...mapped, content };
  }
  if (method === 'prompts/get') {
    const messages = mappedList(result.messages, (message) => {
      if (!isRecord(message)) return message;
      const content = mappedBlock(message.content, map);
      return content === message.content ? message : { ...message, content };
    });
    return messages === result.messages ? mapped : { ...mapped, messages };
  }
  if (method !== 'resources/read') return mapped;
  const contents = mappedList(result.contents, (one) => (isRecord(one) ? withMappedUri(one, 'uri', map) : one));
  return { ...mapped, contents };
}
