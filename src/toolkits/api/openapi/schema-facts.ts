import type { Document } from './document.ts';
import { type DocumentNode, flagAt, listAt, member, nodeAt, numberAt, textAt } from './document-node.ts';

export const TYPES = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'] as const;
export type SchemaType = (typeof TYPES)[number];

/** Names that are no types of JSON Schema and are written all the same. */
const DRIFTED: Record<string, SchemaType> = {
  bool: 'boolean',
  date: 'string',
  'date-time': 'string',
  datetime: 'string',
  double: 'number',
  file: 'string',
  float: 'number',
  int: 'integer',
  int32: 'integer',
  int64: 'integer',
  list: 'array',
  long: 'integer',
  map: 'object',
  uuid: 'string',
};

/** The JSON types that a schema admits by its `type` and `nullable`; undefined: any, or a name that says nothing. */
export function typesOf(schema: DocumentNode): SchemaType[] | undefined {
  const written = member(schema, 'type');
  const names = (Array.isArray(written) ? (written as unknown[]) : [written]).filter(
    (name) => typeof name === 'string',
  );
  const types: SchemaType[] = [];
  for (const name of names) {
    const lower = name.toLowerCase();
    const type = TYPES.find((known) => known === lower) ?? (Object.hasOwn(DRIFTED, lower) ? DRIFTED[lower] : undefined);
    // One unknown name may admit anything.
    if (type === undefined) return undefined;
    types.push(type);
  }
  if (types.length === 0) return undefined;
  return isNullable(schema) && !types.includes('null') ? [...types, 'null'] : types;
}

/** `nullable` of OpenAPI 3.0 and the extension of the same meaning for Swagger 2.0. */
export function isNullable(schema: DocumentNode): boolean {
  return flagAt(schema, 'nullable') || flagAt(schema, 'x-nullable');
}

export type Bound = { limit: number; exclusive: boolean };

/** `minimum`/`maximum` with either spelling of exclusive: a boolean beside it (3.0) or a number of its own (3.1). */
export function boundOf(schema: DocumentNode, side: 'minimum' | 'maximum'): Bound | undefined {
  const exclusiveKey = side === 'minimum' ? 'exclusiveMinimum' : 'exclusiveMaximum';
  const limit = numberAt(schema, side);
  const exclusive = numberAt(schema, exclusiveKey);
  if (exclusive !== undefined) {
    const tighter = limit === undefined || (side === 'minimum' ? exclusive >= limit : exclusive <= limit);
    if (tighter) return { limit: exclusive, exclusive: true };
  }
  return limit === undefined ? undefined : { limit, exclusive: flagAt(schema, exclusiveKey) };
}

/** Bytes rather than text: `type: file`, `format: binary`, `contentMediaType: application/octet-stream`. */
export function isBinary(schema: unknown): boolean {
  if (textAt(schema, 'type')?.toLowerCase() === 'file' || textAt(schema, 'format') === 'binary') return true;
  return textAt(schema, 'contentMediaType') !== undefined && textAt(schema, 'contentEncoding') === undefined;
}

/** The names in `required`, which some descriptions have as a boolean. */
export function requiredOf(schema: DocumentNode): string[] {
  return listAt(schema, 'required').filter((name) => typeof name === 'string');
}

/** `readOnly` members are not for requests, `writeOnly` ones not for responses. */
export function isHidden(schema: unknown, direction: 'request' | 'response', document: Document): boolean {
  const key = direction === 'request' ? 'readOnly' : 'writeOnly';
  return flagAt(schema, key) || flagAt(document.resolve(schema).value, key);
}

export type Discriminator = { property: string; targets: Map<string, unknown> };

/** The branches of `oneOf`/`anyOf` by the value of their discriminator: the mapping's, else their own names. */
export function discriminatorOf(schema: DocumentNode, branches: readonly unknown[]): Discriminator | undefined {
  const node = nodeAt(schema, 'discriminator');
  const property = textAt(node, 'propertyName');
  if (property === undefined) return undefined;
  const targets = new Map<string, unknown>();
  const mapped = new Set<string>();
  for (const [value, target] of Object.entries(nodeAt(node, 'mapping') ?? {})) {
    if (typeof target !== 'string') continue;
    targets.set(value, { $ref: target });
    mapped.add(target.split('/').at(-1) ?? target);
  }
  for (const branch of branches) {
    const ref = textAt(branch, '$ref');
    // A branch without a name can be chosen by no value: then the discriminator decides nothing.
    if (ref === undefined) return undefined;
    const name = ref.split('/').at(-1) ?? ref;
    if (!mapped.has(name)) targets.set(name, branch);
  }
  return targets.size === 0 ? undefined : { property, targets };
}

/** Equal as JSON values, whatever the order of members. */
export function isSameJson(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [mine, theirs] = [Object.entries(one), Object.entries(other)];
  return (
    mine.length === theirs.length &&
    mine.every(([key, value]) => Object.hasOwn(other, key) && isSameJson(value, (other as DocumentNode)[key]))
  );
}
