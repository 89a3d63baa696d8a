import type { ParameterPlace } from './description.ts';
import { type DocumentNode, entriesAt, flagAt, listAt, member, textAt } from './document-node.ts';
import type { Body, Media, Parameter, Style } from './operation-parts.ts';

/** What a parameter of Swagger 2.0 has besides its schema, which it is itself. */
const NOT_SCHEMA = ['name', 'in', 'required', 'description', 'collectionFormat', 'allowEmptyValue', 'example'];

const COLLECTION_STYLES: Record<string, { style: Style; explode: boolean }> = {
  csv: { style: 'form', explode: false },
  ssv: { style: 'spaceDelimited', explode: false },
  tsv: { style: 'tabDelimited', explode: false },
  pipes: { style: 'pipeDelimited', explode: false },
  multi: { style: 'form', explode: true },
};

function collectionStyle(node: DocumentNode, place: ParameterPlace | 'formData'): { style: Style; explode: boolean } {
  const format = textAt(node, 'collectionFormat') ?? textAt(member(node, 'items'), 'collectionFormat') ?? 'csv';
  const found = COLLECTION_STYLES[format] ?? { style: 'form', explode: false };
  const plain = place === 'path' || place === 'header';
  return plain && found.style === 'form' ? { style: 'simple', explode: false } : found;
}

function schemaOf(node: DocumentNode): unknown {
  const own = member(node, 'schema');
  if (own !== undefined) return own;
  return Object.fromEntries(Object.entries(node).filter(([key]) => !NOT_SCHEMA.includes(key)));
}

function exampleOf(node: DocumentNode): unknown[] {
  const example = member(node, 'example') ?? member(node, 'x-example');
  return example === undefined ? [] : [example];
}

export function swaggerParameter(node: DocumentNode, place: ParameterPlace): Partial<Parameter> {
  return { schema: schemaOf(node), ...collectionStyle(node, place), examples: exampleOf(node) };
}

function mediaTypes(operation: DocumentNode, root: DocumentNode, key: 'consumes' | 'produces'): string[] {
  const own = listAt(operation, key);
  const types = (own.length > 0 ? own : listAt(root, key)).filter((type) => typeof type === 'string');
  return types as string[];
}

function formMedia(fields: DocumentNode[], types: string[]): Media[] {
  const named = fields.flatMap((field): [string, DocumentNode][] => {
    const name = textAt(field, 'name');
    return name === undefined ? [] : [[name, field]];
  });
  const described = (field: DocumentNode) => {
    const schema = schemaOf(field);
    const description = textAt(field, 'description');
    return description === undefined ? schema : { ...(schema as object), description };
  };
  const schema = {
    type: 'object',
    properties: Object.fromEntries(named.map(([name, field]) => [name, described(field)])),
    required: named.filter(([, field]) => flagAt(field, 'required')).map(([name]) => name),
    additionalProperties: false,
  };
  const encoding = Object.fromEntries(named.map(([name, field]) => [name, collectionStyle(field, 'formData')]));
  const hasFile = fields.some((field) => textAt(field, 'type') === 'file');
  const forms = types.filter((type) => /form/i.test(type) && !(hasFile && !/multipart/i.test(type)));
  const fallback = hasFile ? 'multipart/form-data' : 'application/x-www-form-urlencoded';
  return (forms.length > 0 ? forms : [fallback]).map((type) => ({ type, schema, encoding, examples: [] }));
}

/** `in: body` and `in: formData` as a request body. */
export function swaggerBody(nodes: DocumentNode[], operation: DocumentNode, root: DocumentNode): Body | undefined {
  const types = mediaTypes(operation, root, 'consumes');
  const body = nodes.findLast((node) => textAt(node, 'in') === 'body');
  if (body !== undefined) {
    const media = (types.length > 0 ? types : ['application/json']).map(
      (type): Media => ({ type, schema: member(body, 'schema'), examples: exampleOf(body) }),
    );
    return { required: flagAt(body, 'required'), description: textAt(body, 'description'), media };
  }
  const fields = nodes.filter((node) => textAt(node, 'in')?.toLowerCase() === 'formdata');
  if (fields.length === 0) return undefined;
  return { required: fields.some((field) => flagAt(field, 'required')), media: formMedia(fields, types) };
}

export function swaggerResponseContent(response: unknown, operation: DocumentNode, root: DocumentNode): Media[] {
  const schema = member(response, 'schema');
  if (schema === undefined || schema === null) return [];
  const examples = new Map(entriesAt(response, 'examples'));
  const types = mediaTypes(operation, root, 'produces');
  return (types.length > 0 ? types : ['application/json']).map((type) => {
    const example = examples.get(type);
    return { type, schema, examples: example === undefined ? [] : [example] };
  });
}
