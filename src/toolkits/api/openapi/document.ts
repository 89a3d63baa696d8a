import type { Issue } from './description.ts';
import { asNode, type DocumentNode, listAt, member, nodeAt, textAt } from './document-node.ts';
import { beginsLikeJson, jsonFault } from './json-text.js';
import { readYaml } from './yaml-text.js';

export const MAX_BYTES = 33_554_432;
/** `yaml` reads about 1 MB a second, `JSON.parse` more than 100. */
const YAML_SHARE = 8;
export const MAX_YAML_BYTES = MAX_BYTES / YAML_SHARE;
/** A chain of `$ref`s to `$ref`s; real ones have three links. */
const MAX_LINKS = 16;

export type ReadDocument = { ok: true; root: DocumentNode } | { ok: false; issues: Issue[] };

function refused(message: string): ReadDocument {
  return { ok: false, issues: [{ at: '', message }] };
}

function tooLarge(bytes: number, limit: number, what: string): ReadDocument {
  return refused(`The description has ${bytes} bytes; ${what} may have ${limit}. Leave out what is not called.`);
}

function parsed(text: string, limit: number): { value: unknown } | ReadDocument {
  const bytes = Buffer.byteLength(text);
  if (bytes > limit) return tooLarge(bytes, limit, 'JSON');
  const body = text.replace(/^\uFEFF/, '');
  if (beginsLikeJson(body)) {
    try {
      return { value: JSON.parse(body) };
    } catch (error) {
      // A flow mapping of YAML begins like JSON.
      if (bytes > limit / YAML_SHARE) return refused(jsonFault(error, body));
      const flow = fromYaml(body);
      return 'value' in flow ? flow : refused(jsonFault(error, body));
    }
  }
  if (bytes > limit / YAML_SHARE) return tooLarge(bytes, Math.floor(limit / YAML_SHARE), 'YAML');
  return fromYaml(body);
}

function fromYaml(text: string): { value: unknown } | ReadDocument {
  const read = readYaml(text);
  return 'value' in read ? read : refused(read.message);
}

/** JSON or YAML → its root object, the text's size bounded first. */
export function readDocument(text: string, maxBytes = MAX_BYTES): ReadDocument {
  const read = parsed(text, maxBytes);
  return 'value' in read ? rootOf(read.value) : read;
}

export function rootOf(value: unknown): ReadDocument {
  const root = asNode(value);
  return root === undefined
    ? refused('The description is not an object: OpenAPI begins with "openapi": "3…" or "swagger": "2.0".')
    : { ok: true, root };
}

export type Version = { major: 2 | 3; label: string; drift?: string };

/** Which of the formats it is; undefined when it says none. YAML often has `3.0` or `2` as numbers. */
export function versionOf(root: DocumentNode): Version | undefined {
  const openapi = textAt(root, 'openapi') ?? textAt(root, 'openApi');
  if (openapi !== undefined && /^3(?:\.|$)/.test(openapi)) {
    const minor = openapi.split('.')[1] ?? '0';
    const known = minor === '0' || minor === '1';
    const drift = known ? undefined : `The format is OpenAPI ${openapi}, newer than what is known; it is read as 3.1.`;
    return { major: 3, label: `OpenAPI ${openapi}`, drift };
  }
  const swagger = textAt(root, 'swagger') ?? openapi;
  if (swagger !== undefined && /^2(?:\.|$)/.test(swagger)) return { major: 2, label: `Swagger ${swagger}` };
  return undefined;
}

export type Resolved = {
  value: unknown;
  /** The pointer that was followed last: the identity of a schema that may contain itself. */
  ref?: string;
  /** The last segment of the pointer, as people call the thing. */
  name?: string;
  /** Why there is no value, as the end of a sentence. */
  problem?: string;
};

function pointerSegments(pointer: string): string[] | undefined {
  try {
    const decode = (segment: string) => decodeURIComponent(segment).replaceAll('~1', '/').replaceAll('~0', '~');
    return pointer.slice(2).split('/').map(decode);
  } catch {
    return undefined;
  }
}

/** The parsed document, held once; `$ref`s are followed where they are met. */
export class Document {
  readonly root: DocumentNode;
  readonly version: Version;
  readonly #targets = new Map<string, unknown>();

  constructor(root: DocumentNode, version: Version) {
    this.root = root;
    this.version = version;
  }

  /** The value itself, or what its chain of local `$ref`s leads to. */
  resolve(value: unknown): Resolved {
    let at: Resolved = { value };
    for (let links = 0; links <= MAX_LINKS; links += 1) {
      const ref = member(at.value, '$ref');
      if (typeof ref !== 'string') return at;
      const target = this.#target(ref);
      const name = ref.split('/').at(-1) ?? ref;
      if (target === undefined) {
        const local = ref.startsWith('#') ? 'is not in the description' : 'is another document, which is not fetched';
        return { value: undefined, ref, name, problem: `"${ref}" ${local}` };
      }
      at = { value: target, ref, name };
    }
    return { ...at, value: undefined, problem: `"${at.ref}" refers to itself` };
  }

  #target(ref: string): unknown {
    if (this.#targets.has(ref)) return this.#targets.get(ref);
    const found = this.#follow(ref);
    this.#targets.set(ref, found);
    return found;
  }

  #follow(ref: string): unknown {
    if (ref === '#') return this.root;
    if (!ref.startsWith('#/')) {
      // Some write the bare name, as Swagger 1 did.
      if (!/^[\w.-]+$/.test(ref)) return undefined;
      return member(this.#schemas(), ref);
    }
    const segments = pointerSegments(ref);
    if (segments === undefined) return undefined;
    let at: unknown = this.root;
    for (const segment of segments) at = Array.isArray(at) ? (at as unknown[])[Number(segment)] : member(at, segment);
    return at;
  }

  #schemas(): unknown {
    return this.version.major === 2
      ? member(this.root, 'definitions')
      : member(nodeAt(this.root, 'components'), 'schemas');
  }

  /** The items of a list, each resolved; those that lead nowhere are left out and told. */
  resolvedList(node: unknown, key: string, lost: (problem: string) => void): DocumentNode[] {
    return listAt(node, key).flatMap((item) => {
      const { value, problem } = this.resolve(item);
      if (problem !== undefined) lost(problem);
      const found = asNode(value);
      return found === undefined ? [] : [found];
    });
  }
}
