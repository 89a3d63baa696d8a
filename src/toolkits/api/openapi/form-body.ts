import type { Document } from './document.ts';
import { asNode, type DocumentNode, member, nodeAt, textAt } from './document-node.ts';
import { isMediaType } from './media-type.ts';
import { type Media, STYLES } from './operation-parts.ts';
import { plainText, queryPairs } from './parameter-text.ts';
import { isBinary } from './schema-facts.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** The members of a form's schema, as far as they are written directly or one `$ref` or `allOf` away. */
function fieldSchema(media: Media, name: string, document: Document): DocumentNode | undefined {
  const schema = asNode(document.resolve(media.schema).value);
  const parts = [schema, ...(Array.isArray(schema?.allOf) ? (schema.allOf as unknown[]) : [])];
  for (const part of parts) {
    const own = member(nodeAt(document.resolve(part).value, 'properties'), name);
    const found = asNode(document.resolve(own).value);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** `application/x-www-form-urlencoded`: fields by their encoding's style; an object without one is a JSON text. */
export function urlEncodedForm(fields: DocumentNode, media: Media): string {
  const pairs = Object.entries(fields).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const encoding = nodeAt(media.encoding, name);
    const style = STYLES.find((known) => known === textAt(encoding, 'style'));
    const explode = member(encoding, 'explode');
    // OpenAPI 3.0.4 and 3.1.1, §4.8.15: without style, explode and allowReserved its contentType counts, for objects JSON.
    if (asNode(value) !== undefined && style === undefined && explode === undefined) {
      return queryPairs(name, JSON.stringify(value), { style: 'form', explode: true });
    }
    const exploded = typeof explode === 'boolean' ? explode : style === undefined || style === 'form';
    return queryPairs(name, value === null ? '' : value, { style: style ?? 'form', explode: exploded });
  });
  // In a form a space is `+`, everything else as in a query.
  return pairs.map(([name, value]) => `${name}=${value}`.replaceAll('%20', '+')).join('&');
}

/** `{ "base64": "…" }`, in either alphabet; undefined where it is none. */
export function bytesOf(value: unknown): Bytes | undefined {
  const base64 = textAt(value, 'base64');
  // Buffer skips what is no base64, and would send other bytes than were meant.
  if (base64 === undefined || !/^[\w+/-]*={0,2}$/.test(base64)) return undefined;
  return new Uint8Array(Buffer.from(base64, 'base64'));
}

/** A quoted parameter of Content-Disposition, escaped as browsers do: it cannot end its line or its quotes. */
function quoted(text: string): string {
  const escaped = text.toWellFormed().replace(/[\r\n"\0]/g, (character) => encodeURIComponent(character));
  return `"${escaped}"`;
}

type Part = { head: string; content: Bytes };

function partOf(name: string, value: unknown, described: { schema?: DocumentNode; contentType?: string }): Part {
  const utf8 = (text: string) => new Uint8Array(new TextEncoder().encode(text));
  const bytes = bytesOf(value);
  const binary = bytes !== undefined || isBinary(described.schema);
  const filename = textAt(value, 'filename') ?? (binary ? name : undefined);
  const own = textAt(value, 'content_type');
  const implied = binary ? 'application/octet-stream' : typeof value === 'object' ? 'application/json' : undefined;
  // Several types or a range say what is possible, not what this is.
  const wanted = [own, described.contentType, implied].find((type) => type !== undefined && isMediaType(type));
  const lines = [
    `Content-Disposition: form-data; name=${quoted(name)}${filename === undefined ? '' : `; filename=${quoted(filename)}`}`,
    ...(wanted === undefined ? [] : [`Content-Type: ${wanted}`]),
  ];
  return { head: lines.join('\r\n'), content: bytes ?? utf8(plainText(value)) };
}

/** A delimiter that none of the parts contains: found by trying, so that the same call is the same body. */
function boundaryFor(parts: readonly Part[]): string {
  const contents = parts.map((part) => Buffer.from(part.content));
  for (let attempt = 1; ; attempt += 1) {
    const boundary = `form-part-boundary-${attempt}`;
    if (!contents.some((content) => content.includes(boundary))) return boundary;
  }
}

/** `multipart/form-data`. @see https://www.rfc-editor.org/rfc/rfc7578 */
export function multipartForm(fields: DocumentNode, media: Media, document: Document) {
  const parts = Object.entries(fields).flatMap(([name, value]): Part[] => {
    if (value === undefined || value === null) return [];
    const schema = fieldSchema(media, name, document);
    const contentType = textAt(nodeAt(media.encoding, name), 'contentType');
    if (!Array.isArray(value)) return [partOf(name, value, { schema, contentType })];
    const item = asNode(document.resolve(member(schema, 'items')).value);
    return (value as unknown[]).map((one) => partOf(name, one, { schema: item, contentType }));
  });
  const boundary = boundaryFor(parts);
  const blocks = parts.flatMap(({ head, content }) => [
    Buffer.from(`--${boundary}\r\n${head}\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
  const body = new Uint8Array(Buffer.concat([...blocks, Buffer.from(`--${boundary}--\r\n`)]));
  return { body, contentType: `multipart/form-data; boundary=${boundary}` };
}
