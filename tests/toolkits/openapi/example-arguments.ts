import type { JsonSchema, OperationArguments } from '../../../src/toolkits/api/openapi/index.ts';

type Node = Record<string, unknown>;
const asNode = (schema: unknown): Node => (typeof schema === 'object' && schema !== null ? (schema as Node) : {});

function textOf({ format, pattern, minLength }: Node): string {
  if (format === 'date') return '2026-01-31';
  if (format === 'date-time') return '2026-01-31T00:00:00Z';
  if (format === 'uuid') return '123e4567-e89b-42d3-a456-426614174000';
  if (format === 'uri' || format === 'url') return 'https://example.org';
  const common = [
    'text',
    'a',
    '1',
    'A1',
    '2026-01-31',
    'https://example.org',
    'a@example.org',
    'en',
    'USD',
    '+15555550100',
  ];
  const fits = common.find((text) => typeof pattern !== 'string' || new RegExp(pattern).test(text));
  return (fits ?? 'text').padEnd(typeof minLength === 'number' ? minLength : 0, 'x');
}

function numberOf({ minimum, exclusiveMinimum, maximum }: Node): number {
  if (typeof exclusiveMinimum === 'number') return exclusiveMinimum + 1;
  if (typeof minimum === 'number') return minimum;
  return typeof maximum === 'number' && maximum < 1 ? maximum : 1;
}

/** A small value of the schema, as a model would make one up: required members only. */
export function exampleOf(schema: JsonSchema, depth = 0): unknown {
  const node = asNode(schema);
  if (node.const !== undefined) return node.const;
  if (Array.isArray(node.enum)) return (node.enum as unknown[])[0];
  if (node.default !== undefined && node.default !== null && typeof node.default !== 'object') return node.default;
  const branch = [node.oneOf, node.anyOf].find((branches) => Array.isArray(branches)) as JsonSchema[] | undefined;
  const parts = [...((node.allOf as JsonSchema[] | undefined) ?? []), ...(branch?.slice(0, 1) ?? [])];
  const made = parts.map((part) => exampleOf(part, depth + 1));
  const [type] = [node.type].flat();
  if (type === undefined && node.properties === undefined) {
    const objects = made.filter((one) => typeof one === 'object' && !Array.isArray(one));
    if (made.length > 0) return objects.length === made.length ? Object.assign({}, ...objects) : made[0];
    return 'text';
  }
  if (type === 'string') return textOf(node);
  if (type === 'integer' || type === 'number') return numberOf(node);
  if (type === 'boolean') return true;
  if (type === 'null') return null;
  if (type === 'array') {
    const count = typeof node.minItems === 'number' ? node.minItems : 0;
    return Array.from({ length: count }, () => exampleOf((node.items ?? {}) as JsonSchema, depth + 1));
  }
  const properties = asNode(node.properties);
  const required = ((node.required as string[] | undefined) ?? []).filter((name) => depth < 30 || name in properties);
  const own = Object.fromEntries(
    required.map((name) => [name, exampleOf((properties[name] ?? {}) as JsonSchema, depth + 1)]),
  );
  return Object.assign({}, ...made.filter((one) => typeof one === 'object'), own);
}

export const exampleArguments = (schema: JsonSchema) => exampleOf(schema) as OperationArguments;
