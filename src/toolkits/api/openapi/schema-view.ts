import type { JsonSchema } from './description.ts';
import type { Document } from './document.ts';
import { asNode, type DocumentNode, flagAt, listAt, member, nodeAt, shortened, textAt } from './document-node.ts';
import { isHidden, isNullable, requiredOf, typesOf } from './schema-facts.ts';

/** How much of a schema is shown. */
export type Detail = {
  /** `$ref`s within `$ref`s. */
  references: number;
  /** Levels of members and items. */
  levels: number;
  /** Members of one object, and twice as many values of one `enum`. */
  members: number;
  /** Characters of one description; 0 leaves them all out. */
  text: number;
  examples: boolean;
};

/** Keywords whose value is taken as it is. */
const VERBATIM = [
  'title',
  'format',
  'pattern',
  'minLength',
  'maxLength',
  'multipleOf',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minContains',
  'maxContains',
  'minProperties',
  'maxProperties',
  'deprecated',
  'contentEncoding',
  'contentMediaType',
  'dependentRequired',
];
const ONE_SCHEMA = [
  'not',
  'if',
  'then',
  'else',
  'contains',
  'propertyNames',
  'unevaluatedProperties',
  'unevaluatedItems',
];
const SCHEMA_LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems'];
const SCHEMA_MAPS = ['patternProperties', 'dependentSchemas'];
const MAX_TEXT_OF_NAMES = 400;
const MAX_EXAMPLE_CHARACTERS = 2000;
/** A part of a composition is hardly deeper than the whole, but not for ever. */
const COMPOSITION_LEVEL = 0.25;

/** Thrown where a schema is larger than there is room for: then less of each is shown. */
export class TooLarge extends Error {}

/** A writer of schemas for one direction, JSON Schema 2020-12, `$ref`s inlined; `room` bounds the characters of all. */
export class SchemaView {
  readonly #document: Document;
  readonly #direction: 'request' | 'response';
  readonly #detail: Detail;
  readonly #cut: (what: string) => void;
  #room: number;

  constructor(
    document: Document,
    options: { direction: 'request' | 'response'; detail: Detail; room: number; cut: (what: string) => void },
  ) {
    this.#document = document;
    this.#direction = options.direction;
    this.#detail = options.detail;
    this.#room = options.room;
    this.#cut = options.cut;
  }

  /** @throws TooLarge */
  show(schema: unknown): JsonSchema {
    return this.#show(schema, [], 0);
  }

  #spend(characters: number): void {
    this.#room -= characters;
    if (this.#room < 0) throw new TooLarge();
  }

  #show(raw: unknown, refs: readonly string[], level: number): JsonSchema {
    this.#spend(4);
    if (typeof raw === 'boolean') return raw;
    const { value, ref, name, problem } = this.#document.resolve(raw);
    if (problem !== undefined) return this.#comment(`not known: ${problem}; anything is taken`, raw);
    if (typeof value === 'boolean') return value;
    const schema = asNode(value);
    if (schema === undefined) return {};
    if (ref !== undefined && refs.includes(ref)) {
      this.#cut('Schemas that contain themselves are shown once.');
      return this.#comment(`again the enclosing ${name}`, raw, schema);
    }
    const within = ref === undefined ? refs : [...refs, ref];
    if (within.length > this.#detail.references || level > this.#detail.levels) {
      if (isSmall(schema)) return this.#keywords(schema, raw, within, level);
      this.#cut('Schemas nested deeply are shown by the names of their members alone.');
      return this.#comment(`left out${name === undefined ? '' : `: ${name}`}${namesIn(schema)}`, raw, schema);
    }
    return this.#keywords(schema, raw, within, level);
  }

  #comment(comment: string, raw: unknown, schema?: DocumentNode): JsonSchema {
    const types = schema === undefined ? undefined : typesOf(schema);
    const description = this.#text(textAt(raw, 'description'));
    this.#spend(comment.length + 30);
    return {
      ...(types === undefined ? {} : { type: types.length === 1 ? types[0] : types }),
      ...(description === undefined ? {} : { description }),
      $comment: comment,
    };
  }

  #text(text: string | undefined): string | undefined {
    if (text === undefined || text === '' || this.#detail.text === 0) return undefined;
    const short = shortened(text.trim(), this.#detail.text);
    this.#spend(short.length + 16);
    return short;
  }

  #keywords(schema: DocumentNode, raw: unknown, refs: readonly string[], level: number): JsonSchema {
    const shown: [string, unknown][] = [...this.#facts(schema, raw)];
    const show = (value: unknown, deeper: number) => this.#show(value, refs, level + deeper);
    for (const key of SCHEMA_LISTS) {
      const parts = listAt(schema, key);
      if (parts.length > 0) shown.push([key, parts.map((part) => show(part, COMPOSITION_LEVEL))]);
    }
    for (const key of ONE_SCHEMA)
      if (member(schema, key) !== undefined) shown.push([key, show(member(schema, key), 1)]);
    for (const key of SCHEMA_MAPS) {
      const entries = Object.entries(nodeAt(schema, key) ?? {});
      if (entries.length > 0) shown.push([key, Object.fromEntries(entries.map(([name, one]) => [name, show(one, 1)]))]);
    }
    const items = member(schema, 'items');
    if (Array.isArray(items)) shown.push(['prefixItems', (items as unknown[]).map((item) => show(item, 1))]);
    else if (items !== undefined && items !== null) shown.push(['items', show(items, 1)]);
    shown.push(...this.#members(schema, refs, level));
    const others = member(schema, 'additionalProperties');
    if (others !== undefined) shown.push(['additionalProperties', show(others, 1)]);
    const keywords = Object.fromEntries(shown);
    // Without a type, `nullable` widens whatever else is said.
    const widened = isNullable(schema) && typesOf(schema) === undefined;
    return widened && shown.length > 0 ? { anyOf: [keywords, { type: 'null' }] } : keywords;
  }

  #members(schema: DocumentNode, refs: readonly string[], level: number): [string, unknown][] {
    const properties = nodeAt(schema, 'properties');
    if (properties === undefined) return [];
    const visible = Object.entries(properties).filter(([, one]) => !isHidden(one, this.#direction, this.#document));
    const required = requiredOf(schema);
    // The required ones first, so that the cut of a wide object leaves what a call needs.
    const ordered = [...visible].sort(([a], [b]) => Number(required.includes(b)) - Number(required.includes(a)));
    const kept = ordered.slice(0, Math.max(this.#detail.members, this.#direction === 'request' ? required.length : 0));
    const shown = kept.map(([name, one]): [string, JsonSchema] => {
      this.#spend(name.length);
      return [name, this.#show(one, refs, level + 1)];
    });
    const result: [string, unknown][] = [['properties', Object.fromEntries(shown)]];
    const hidden = new Set(Object.keys(properties).filter((name) => !visible.some(([one]) => one === name)));
    const still = required.filter((name) => !hidden.has(name));
    if (still.length > 0) result.push(['required', still]);
    const left = ordered.slice(kept.length).map(([name]) => name);
    if (left.length > 0) {
      this.#cut('Of wide objects only the first members are shown.');
      result.push(['$comment', `${left.length} more members: ${shortened(left.join(', '), MAX_TEXT_OF_NAMES)}`]);
      this.#spend(MAX_TEXT_OF_NAMES);
    }
    return result;
  }

  /** Everything of a schema that holds no schema. */
  #facts(schema: DocumentNode, raw: unknown): [string, unknown][] {
    const facts: [string, unknown][] = [];
    const add = (key: string, value: unknown) => {
      if (value === undefined) return;
      this.#spend(key.length + sizeOf(value) + 4);
      facts.push([key, value]);
    };
    const types = typesOf(schema);
    if (types !== undefined) add('type', types.length === 1 ? types[0] : types);
    for (const key of VERBATIM)
      if (sizeOf(member(schema, key)) <= MAX_EXAMPLE_CHARACTERS) add(key, member(schema, key));
    if (textAt(schema, 'type')?.toLowerCase() === 'file') add('format', 'binary');
    const own = raw === schema ? undefined : textAt(raw, 'description');
    facts.push(...descriptionOf(this.#text(own ?? textAt(schema, 'description'))));
    addBounds(schema, add);
    const isShort = (value: unknown) => sizeOf(value) <= MAX_EXAMPLE_CHARACTERS;
    if (isShort(member(schema, 'const'))) add('const', member(schema, 'const'));
    const values = listAt(schema, 'enum').filter(isShort);
    const most = this.#detail.members * 2;
    if (values.length > 0) add('enum', values.slice(0, most));
    if (values.length > most) this.#cut('Of long enums only the first values are shown.');
    if (sizeOf(member(schema, 'default')) <= MAX_EXAMPLE_CHARACTERS) add('default', member(schema, 'default'));
    add('discriminator', discriminatorShown(schema));
    if (this.#direction === 'response' && flagAt(schema, 'readOnly')) add('readOnly', true);
    if (this.#detail.examples) add('examples', examplesShown(schema));
    return facts;
  }
}

function descriptionOf(text: string | undefined): [string, unknown][] {
  return text === undefined ? [] : [['description', text]];
}

/** `exclusiveMinimum: true` beside a `minimum` becomes the number that 2020-12 has. */
function addBounds(schema: DocumentNode, add: (key: string, value: unknown) => void): void {
  for (const [key, exclusiveKey] of [
    ['minimum', 'exclusiveMinimum'],
    ['maximum', 'exclusiveMaximum'],
  ] as const) {
    const exclusive = member(schema, exclusiveKey);
    const limit = member(schema, key);
    if (exclusive === true) add(exclusiveKey, limit);
    else {
      add(key, typeof limit === 'number' ? limit : undefined);
      add(exclusiveKey, typeof exclusive === 'number' ? exclusive : undefined);
    }
  }
}

function discriminatorShown(schema: DocumentNode): unknown {
  const node = nodeAt(schema, 'discriminator');
  const propertyName = textAt(node, 'propertyName');
  if (propertyName === undefined) return undefined;
  const mapping = Object.entries(nodeAt(node, 'mapping') ?? {}).slice(0, 100);
  const names = mapping.map(([value, target]) => [value, typeof target === 'string' ? target.split('/').at(-1) : '']);
  return names.length === 0 ? { propertyName } : { propertyName, mapping: Object.fromEntries(names) as unknown };
}

function examplesShown(schema: DocumentNode): unknown[] | undefined {
  const single = member(schema, 'example');
  const several = listAt(schema, 'examples').slice(0, 3);
  const examples = (single === undefined ? several : [single]).filter((one) => sizeOf(one) <= MAX_EXAMPLE_CHARACTERS);
  return examples.length === 0 ? undefined : examples;
}

/** Characters of a value's JSON, counted only as far as matters. */
export function sizeOf(value: unknown, limit = 100_000): number {
  const open: unknown[] = [value];
  let size = 0;
  while (open.length > 0 && size < limit) {
    const one = open.pop();
    if (typeof one === 'string') size += one.length + 2;
    else if (typeof one !== 'object' || one === null) size += 5;
    else {
      size += 2;
      for (const [key, item] of Object.entries(one)) {
        size += Array.isArray(one) ? 1 : key.length + 4;
        open.push(item);
      }
    }
  }
  return size;
}

/** A schema that is shorter shown than cut. */
function isSmall(schema: DocumentNode): boolean {
  const nested = ['properties', 'items', ...SCHEMA_LISTS, ...SCHEMA_MAPS, ...ONE_SCHEMA, 'additionalProperties'];
  return !nested.some((key) => typeof member(schema, key) === 'object') && sizeOf(schema, 400) < 300;
}

function namesIn(schema: DocumentNode): string {
  const names = Object.keys(nodeAt(schema, 'properties') ?? {});
  return names.length === 0 ? '' : ` (members: ${shortened(names.join(', '), MAX_TEXT_OF_NAMES)})`;
}
