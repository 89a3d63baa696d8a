import { isRecord } from '../core/json-shape.ts';
import type { UpstreamTool } from '../core/ports.ts';

const SCHEMAS = ['inputSchema', 'outputSchema'] as const;

/** `true` and `false` are schemas of JSON Schema, which clients of the legacy era refuse as a property's. */
function withObjectProperties(schema: unknown): unknown {
  if (!isRecord(schema) || !isRecord(schema.properties)) return schema;
  const { properties } = schema;
  if (!Object.values(properties).some((property) => typeof property === 'boolean')) return schema;
  const fitted = Object.entries<unknown>(properties).map(([name, property]): [string, unknown] => [
    name,
    property === true ? {} : property === false ? { not: {} } : property,
  ]);
  return { ...schema, properties: Object.fromEntries(fitted) };
}

/** The same tool for a client of the legacy era, which would refuse the whole list over it otherwise (lesson 34). */
export function legacyTool(tool: UpstreamTool): UpstreamTool {
  let fitted = tool;
  for (const name of SCHEMAS) {
    const schema = withObjectProperties(tool[name]);
    if (schema !== tool[name]) fitted = { ...fitted, [name]: schema };
  }
  return fitted;
}
