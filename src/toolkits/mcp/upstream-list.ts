import { PromptSchema, ResourceSchema, ResourceTemplateSchema, ToolSchema } from '@modelcontextprotocol/core';
import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import { isRecord, nestsDeeperThan } from '../../core/json-shape.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import { isStorable, storableJson } from '../../core/storable-text.ts';

/** One upstream may not fill the memory or the models' context of everybody: the first bound reached is an error. */
export const LIST_BOUNDS = { pages: 1_000, items: 10_000, bytes: 32 * 1024 * 1024 };
/** One entry beyond these is left out: models and clients choke on it, and it would take the room of the others. */
export const ITEM_BOUNDS = { bytes: 1024 * 1024, depth: 128 };

type Item = Record<string, unknown>;
type ListRules = {
  /** Under which key of the result the entries are. */
  key: string;
  /** What tells one entry from another. */
  id: string;
  /** The server's capability without which the list is empty and not asked for. */
  capability: 'tools' | 'prompts' | 'resources';
  /** An entry as clients can read it, or undefined. */
  readable(raw: Item): Item | undefined;
};

/**
 * A client refuses a whole list over one tool that breaks the protocol, so a root without `type: "object"` gets it, and
 * what stays unreadable is left out; everything else is verbatim (lesson 34).
 */
function readableTool(raw: Item): Item | undefined {
  const schema = isRecord(raw.inputSchema) ? raw.inputSchema : {};
  const tool =
    schema.type === 'object' && schema === raw.inputSchema
      ? raw
      : { ...raw, inputSchema: { ...schema, type: 'object' } };
  return ToolSchema.safeParse(tool).success ? tool : undefined;
}

const valid = (schema: { safeParse(value: unknown): { success: boolean } }) => (raw: Item) =>
  schema.safeParse(raw).success ? raw : undefined;

export const LISTS = {
  'tools/list': { key: 'tools', id: 'name', capability: 'tools', readable: readableTool },
  'prompts/list': { key: 'prompts', id: 'name', capability: 'prompts', readable: valid(PromptSchema) },
  'resources/list': { key: 'resources', id: 'uri', capability: 'resources', readable: valid(ResourceSchema) },
  'resources/templates/list': {
    key: 'resourceTemplates',
    id: 'uriTemplate',
    capability: 'resources',
    readable: valid(ResourceTemplateSchema),
  },
} as const satisfies Record<string, ListRules>;

export type ListMethod = keyof typeof LISTS;

export function isListMethod(method: string): method is ListMethod {
  return Object.hasOwn(LISTS, method);
}

/**
 * The entry and its size as text; without an entry: it cannot be read or named, or is beyond the bounds of one. What no
 * text of the database can hold is replaced here, so that the entry stays the same when it comes from there.
 */
function examined(raw: unknown, rules: ListRules): { item?: Item; bytes: number } {
  if (nestsDeeperThan(raw, ITEM_BOUNDS.depth)) return { bytes: 0 };
  const text = JSON.stringify(raw) ?? '';
  const bytes = text.length;
  const id = isRecord(raw) ? raw[rules.id] : undefined;
  if (typeof id !== 'string' || id === '' || !isStorable(id) || bytes > ITEM_BOUNDS.bytes) return { bytes };
  const storable = storableJson(text);
  const item = rules.readable(storable === text ? (raw as Item) : (JSON.parse(storable) as Item));
  return item ? { item, bytes } : { bytes };
}

/**
 * Reads every page of a list (lesson 31).
 * @throws AppError upstream_failed when a bound is passed or the answer is no list; whatever `page` throws.
 */
export async function readWholeList(
  context: ToolkitContext,
  method: ListMethod,
  page: (params: Record<string, unknown>) => Promise<Record<string, unknown>>,
): Promise<Item[]> {
  const rules: ListRules = LISTS[method];
  const label = connectionLabel(context.key);
  const items = new Map<string, Item>();
  const leftOut: string[] = [];
  let bytes = 0;
  let cursor: string | undefined;
  for (let pages = 1; ; pages += 1) {
    const answer = await page(cursor === undefined ? {} : { cursor });
    const entries = answer[rules.key];
    if (!Array.isArray(entries)) {
      const text = `The upstream of ${label} answered ${method} without a list of ${rules.key}.`;
      throw new AppError('upstream_failed', text);
    }
    for (const raw of entries as unknown[]) {
      const { item, bytes: size } = examined(raw, rules);
      bytes += size;
      const named = isRecord(raw) ? raw[rules.id] : undefined;
      const id = typeof named === 'string' ? named : '(no name)';
      if (!item) leftOut.push(id.slice(0, 100));
      else if (!items.has(id)) items.set(id, item);
    }
    if (pages >= LIST_BOUNDS.pages || items.size > LIST_BOUNDS.items || bytes > LIST_BOUNDS.bytes) {
      const text = `The upstream of ${label} lists more than is accepted: at most ${LIST_BOUNDS.items} ${rules.key} on ${LIST_BOUNDS.pages} pages in 32 MiB.`;
      throw new AppError('upstream_failed', text);
    }
    // An empty string is a valid cursor; the one that was just used would lead round in circles.
    if (typeof answer.nextCursor !== 'string' || answer.nextCursor === cursor) break;
    cursor = answer.nextCursor;
  }
  if (leftOut.length > 0) {
    context.log.warn(`${rules.key} left out: they break the protocol or are too large`, {
      connection: label,
      [rules.key]: leftOut.slice(0, 20),
      count: leftOut.length,
    });
  }
  return [...items.values()];
}
