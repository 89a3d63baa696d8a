import { isRecord } from './json-shape.ts';
import type { UpstreamTool } from './toolkit.ts';

/**
 * Headers in which arguments of a call are repeated (SEP-2243): a property with `x-mcp-header` is repeated as
 * `Mcp-Param-<name>`, so that intermediaries can route without reading the body.
 * @see https://modelcontextprotocol.io/seps/2243-http-standardization
 */
export type ParamHeader = { path: readonly string[]; header: string };

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MAX_DEPTH = 16;

/** What the tool's input schema asks to be repeated, reachable through `properties` alone. Two of one name: neither. */
export function paramHeadersOf(tool: UpstreamTool): ParamHeader[] {
  const found = new Map<string, ParamHeader[]>();
  const visit = (schema: unknown, path: readonly string[]): void => {
    if (!isRecord(schema) || path.length > MAX_DEPTH) return;
    const header = schema['x-mcp-header'];
    if (typeof header === 'string' && TOKEN.test(header) && path.length > 0) {
      const name = header.toLowerCase();
      found.set(name, [...(found.get(name) ?? []), { path, header }]);
    }
    if (!isRecord(schema.properties)) return;
    for (const [name, child] of Object.entries(schema.properties)) visit(child, [...path, name]);
  };
  visit(tool.inputSchema, []);
  return [...found.values()].flatMap((same) => (same.length === 1 ? same : []));
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value !== 'number' || !Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const name of path) value = isRecord(value) ? value[name] : undefined;
  return value;
}

/** Plain where a header can carry it, else `=?base64?…?=`. */
export function encodeHeaderValue(text: string): string {
  const plain = /^[\t\x20-\x7e]+$/.test(text) && text === text.trim() && !/^=\?base64\?.*\?=$/.test(text);
  return plain ? text : `=?base64?${Buffer.from(text, 'utf8').toString('base64')}?=`;
}

/** undefined: it holds what no header may, or is encoded wrongly. */
function decodedHeaderValue(given: string): string | undefined {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(given)?.[1];
  if (encoded === undefined) return /^[\t\x20-\x7e]*$/.test(given) ? given : undefined;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.toString('base64') !== encoded) return undefined;
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}

export function paramHeaders(wanted: readonly ParamHeader[], args: unknown): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { path, header } of wanted) {
    const text = textOf(valueAt(args, path));
    if (text !== undefined) headers[`Mcp-Param-${header}`] = encodeHeaderValue(text);
  }
  return headers;
}

const DECIMAL = /^-?\d+$|^-?\d+\.\d+$/;

function agrees(given: string | null, value: unknown): boolean {
  const text = textOf(value);
  if (given === null) return text === undefined;
  const decoded = decodedHeaderValue(given);
  if (decoded === undefined) return false;
  // Compared by its value, as 42 and 42.0 are one number in JSON.
  if (typeof value === 'number' && DECIMAL.test(decoded)) return Number(decoded) === value;
  return decoded === text;
}

/**
 * The first of the headers that does not say what the arguments say: another value, none where there is an argument,
 * one where there is no argument, or one that cannot be read.
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports#server-behavior-for-custom-headers
 */
export function differingParamHeader(
  wanted: readonly ParamHeader[],
  args: unknown,
  headers: Pick<Headers, 'get'>,
): ParamHeader | undefined {
  return wanted.find(({ path, header }) => !agrees(headers.get(`mcp-param-${header}`), valueAt(args, path)));
}
