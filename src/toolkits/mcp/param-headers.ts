import type { UpstreamTool } from '../../core/ports.ts';
import { isRecord } from './json-shape.ts';

/**
 * Headers that a modern upstream asks to be mirrored from arguments (SEP-2243): a property with `x-mcp-header` is
 * repeated as `Mcp-Param-<name>`, so that intermediaries can route without reading the body.
 */
export type ParamHeader = { path: readonly string[]; header: string };

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MAX_DEPTH = 16;

/** What the tool's input schema asks to be mirrored, reachable through `properties` alone. */
export function paramHeadersOf(tool: UpstreamTool): ParamHeader[] {
  const found: ParamHeader[] = [];
  const visit = (schema: unknown, path: readonly string[]): void => {
    if (!isRecord(schema) || path.length > MAX_DEPTH) return;
    const header = schema['x-mcp-header'];
    if (typeof header === 'string' && TOKEN.test(header) && path.length > 0) found.push({ path, header });
    if (!isRecord(schema.properties)) return;
    for (const [name, child] of Object.entries(schema.properties)) visit(child, [...path, name]);
  };
  visit(tool.inputSchema, []);
  return found;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
}

/** Plain where a header can carry it, else `=?base64?…?=`. */
export function encodeHeaderValue(text: string): string {
  const plain = /^[\t\x20-\x7e]+$/.test(text) && text === text.trim() && !/^=\?base64\?.*\?=$/.test(text);
  return plain ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

export function paramHeaders(wanted: readonly ParamHeader[], args: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { path, header } of wanted) {
    let value = args;
    for (const name of path) value = isRecord(value) ? value[name] : undefined;
    const text = textOf(value);
    if (text !== undefined) headers[`Mcp-Param-${header}`] = encodeHeaderValue(text);
  }
  return headers;
}
