import { asNode } from './document-node.ts';
import type { Style } from './operation-parts.ts';

export type Writing = { style: Style; explode: boolean; allowReserved?: boolean };

/** Percent-encodes everything but the unreserved characters of RFC 3986: a value cannot end its segment or its pair. */
export function encoded(text: string): string {
  const percent = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text.toWellFormed()).replace(/[!'()*]/g, percent);
}

/** What `allowReserved` may leave as it is in a query: not what ends the value there (`&`, `#`) or is read as a space. */
const LEFT_RESERVED = /%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/g;

function encodedFor(text: string, writing: Writing): string {
  const all = encoded(text);
  return writing.allowReserved ? all.replace(LEFT_RESERVED, (triplet) => decodeURIComponent(triplet)) : all;
}

/** The text of a plain value; lists and objects inside of others have no style and are written as JSON. */
export function plainText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null) return 'null';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const isGiven = (value: unknown) => value !== undefined && value !== null;

/** A list's items or an object's names and values in turn, as texts. */
function pieces(value: unknown): string[] | undefined {
  if (Array.isArray(value)) return (value as unknown[]).filter(isGiven).map(plainText);
  const node = asNode(value);
  if (node === undefined) return undefined;
  return Object.entries(node).flatMap(([name, item]) => (isGiven(item) ? [name, plainText(item)] : []));
}

function pairs(value: object): [name: string, text: string][] {
  const given = Object.entries(value).filter(([, item]) => isGiven(item));
  return given.map(([name, item]) => [name, plainText(item)]);
}

const DELIMITERS: Partial<Record<Style, string>> = {
  spaceDelimited: '%20',
  pipeDelimited: '%7C',
  tabDelimited: '%09',
};

/**
 * A path parameter, encoded. Styles `simple`, `label` and `matrix`; others are written as `simple`.
 * @see https://spec.openapis.org/oas/v3.1.1#style-examples
 */
export function pathText(name: string, value: unknown, { style, explode }: Writing): string {
  const list = pieces(value)?.map(encoded);
  const isObject = asNode(value) !== undefined;
  const named = () => pairs(value as object).map(([key, text]) => `${encoded(key)}=${encoded(text)}`);
  const key = encoded(name);
  if (style === 'label') {
    if (list === undefined) return `.${encoded(plainText(value))}`;
    return `.${(isObject && explode ? named() : list).join(explode ? '.' : ',')}`;
  }
  if (style === 'matrix') {
    if (list === undefined) return `;${key}=${encoded(plainText(value))}`;
    if (!explode) return `;${key}=${list.join(',')}`;
    return (isObject ? named() : list.map((item) => `${key}=${item}`)).map((pair) => `;${pair}`).join('');
  }
  if (list === undefined) return encoded(plainText(value));
  return (isObject && explode ? named() : list).join(',');
}

/** A header parameter, always of style `simple`; header values are not percent-encoded. */
export function headerText(value: unknown, explode: boolean): string {
  const list = pieces(value);
  if (list === undefined) return plainText(value);
  if (asNode(value) !== undefined && explode)
    return pairs(value as object)
      .map((pair) => pair.join('='))
      .join(',');
  return list.join(',');
}

function deepPairs(name: string, value: unknown, writing: Writing): [string, string][] {
  // How lists are written inside of a deepObject nobody has laid down; `[]` or an index, and this is Stripe's and Rails'.
  if (Array.isArray(value)) {
    return (value as unknown[]).filter(isGiven).flatMap((item) => {
      const inner = asNode(item) !== undefined || Array.isArray(item);
      return inner ? deepPairs(`${name}[]`, item, writing) : leaf(`${name}[]`, item, writing);
    });
  }
  const node = asNode(value);
  if (node === undefined) return leaf(name, value, writing);
  return Object.entries(node).flatMap(([key, item]) =>
    isGiven(item) ? deepPairs(`${name}[${key}]`, item, writing) : [],
  );
}

function leaf(name: string, value: unknown, writing: Writing): [string, string][] {
  return [[encoded(name), encodedFor(plainText(value), writing)]];
}

/**
 * A query parameter or a field of a form as encoded pairs; an empty list or object as none.
 * @see https://spec.openapis.org/oas/v3.1.1#style-examples
 */
export function queryPairs(name: string, value: unknown, writing: Writing): [name: string, value: string][] {
  if (writing.style === 'deepObject') return deepPairs(name, value, writing);
  const list = pieces(value)?.map((text) => encodedFor(text, writing));
  if (list === undefined) return leaf(name, value, writing);
  if (list.length === 0) return [];
  const key = encoded(name);
  const delimiter = DELIMITERS[writing.style];
  if (!writing.explode || (delimiter !== undefined && asNode(value) !== undefined)) {
    return [[key, list.join(delimiter ?? ',')]];
  }
  if (asNode(value) !== undefined)
    return pairs(value as object).map(([part, text]) => [encoded(part), encodedFor(text, writing)]);
  return list.map((text) => [key, text]);
}
