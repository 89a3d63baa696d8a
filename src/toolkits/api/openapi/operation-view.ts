import type { ParameterPlace } from './description.ts';
import type { Document } from './document.ts';
import { asNode, type DocumentNode, entriesAt, flagAt, listAt, member, nodeAt, textAt } from './document-node.ts';
import type { ListedOperation } from './operation-list.ts';
import {
  type Body,
  type Media,
  type OperationView,
  type Parameter,
  type Response,
  STYLES,
  type Style,
} from './operation-parts.ts';
import { swaggerBody, swaggerParameter, swaggerResponseContent } from './swagger-view.ts';

/** Swagger 2.0 and OpenAPI before 3.0 had other places; `cookie` came with 3.0. */
const PLACES: readonly ParameterPlace[] = ['path', 'query', 'header', 'cookie'];
/** The gateway adds the credential; the other two follow from the body and the caller's own wish. */
const IGNORED_HEADERS = ['authorization', 'content-type', 'accept'];

export function examplesOf(node: unknown, document: Document): unknown[] {
  const single = member(node, 'example');
  const several = entriesAt(node, 'examples').map(([, example]) => member(document.resolve(example).value, 'value'));
  return [single, ...several].filter((example) => example !== undefined);
}

export function mediaOf(content: unknown, document: Document): Media[] {
  return Object.entries(asNode(content) ?? {}).map(([type, value]) => {
    const node = document.resolve(value).value;
    return {
      type,
      schema: member(node, 'schema'),
      encoding: nodeAt(node, 'encoding'),
      examples: examplesOf(node, document),
    };
  });
}

function styleOf(node: DocumentNode, place: ParameterPlace): Style {
  const wanted = textAt(node, 'style');
  const known = STYLES.find((style) => style === wanted);
  if (known !== undefined && known !== 'tabDelimited') return known;
  return place === 'query' || place === 'cookie' ? 'form' : 'simple';
}

function modernParameter(node: DocumentNode, place: ParameterPlace, document: Document): Partial<Parameter> {
  const style = styleOf(node, place);
  const explode = member(node, 'explode');
  const [media] = mediaOf(member(node, 'content'), document);
  return {
    schema: member(node, 'schema') ?? media?.schema,
    style,
    explode: typeof explode === 'boolean' ? explode : style === 'form' || style === 'deepObject',
    allowReserved: flagAt(node, 'allowReserved'),
    json: member(node, 'schema') === undefined && media !== undefined && /\bjson\b/i.test(media.type),
    examples: [...examplesOf(node, document), ...(media?.examples ?? [])],
  };
}

function parameterOf(node: DocumentNode, document: Document): Parameter | undefined {
  const name = textAt(node, 'name');
  const place = PLACES.find((known) => known === textAt(node, 'in')?.toLowerCase());
  if (name === undefined || name === '' || place === undefined) return undefined;
  const is2 = document.version.major === 2;
  return {
    name,
    in: place,
    required: place === 'path' || flagAt(node, 'required'),
    deprecated: flagAt(node, 'deprecated'),
    description: textAt(node, 'description'),
    schema: undefined,
    style: 'form',
    explode: false,
    allowReserved: false,
    json: false,
    examples: [],
    ...(is2 ? swaggerParameter(node, place) : modernParameter(node, place, document)),
  };
}

function undescribed(name: string): Parameter {
  return {
    name,
    in: 'path',
    required: true,
    deprecated: false,
    schema: { type: 'string' },
    style: 'simple',
    explode: false,
    allowReserved: false,
    json: false,
    examples: [],
  };
}

function parametersOf(
  nodes: DocumentNode[],
  listed: ListedOperation,
  document: Document,
  notes: string[],
): Parameter[] {
  const found = new Map<string, Parameter>();
  for (const node of nodes) {
    const parameter = parameterOf(node, document);
    if (parameter === undefined) continue;
    const { name, in: place } = parameter;
    if (place === 'header' && IGNORED_HEADERS.includes(name.toLowerCase())) continue;
    if (place === 'path' && !listed.template.parameters.includes(name)) {
      notes.push(`The path has no {${name}}: that parameter is ignored.`);
      continue;
    }
    // An operation's own parameter comes after the path's and replaces it.
    found.set(`${place} ${place === 'header' ? name.toLowerCase() : name}`, parameter);
  }
  for (const name of listed.template.parameters) {
    if (found.has(`path ${name}`)) continue;
    notes.push(`The path's {${name}} is not described: any text is taken.`);
    found.set(`path ${name}`, undescribed(name));
  }
  return [...found.values()];
}

function bodyOf(listed: ListedOperation, document: Document, notes: string[]): Body | undefined {
  const raw = member(listed.node, 'requestBody');
  if (raw === undefined || raw === null) return undefined;
  const { value, problem } = document.resolve(raw);
  if (problem !== undefined) notes.push(`The request body is not known: ${problem}.`);
  const media = mediaOf(member(value, 'content'), document);
  return {
    required: flagAt(value, 'required') && media.length > 0,
    description: textAt(value, 'description'),
    media: media.length > 0 ? media : [{ type: '*/*', schema: undefined, examples: [] }],
  };
}

function responsesOf(listed: ListedOperation, document: Document): Record<string, Response> {
  const responses = entriesAt(listed.node, 'responses').filter(([status]) => !status.startsWith('x-'));
  return Object.fromEntries(
    responses.map(([status, value]): [string, Response] => {
      const { value: node, problem } = document.resolve(value);
      const description = problem === undefined ? textAt(node, 'description') : `Not known: ${problem}.`;
      const headers = entriesAt(node, 'headers').map(([name]) => name);
      const is2 = document.version.major === 2;
      const media = is2
        ? swaggerResponseContent(node, listed.node, document.root)
        : mediaOf(member(node, 'content'), document);
      return [status, { description, headers, media }];
    }),
  );
}

export function viewOperation(listed: ListedOperation, document: Document): OperationView {
  const notes: string[] = listed.drift === undefined ? [] : [listed.drift];
  const lost = (problem: string) => notes.push(`A parameter is left out: ${problem}.`);
  const nodes = [listed.pathItem, listed.node].flatMap((node) => document.resolvedList(node, 'parameters', lost));
  if (listAt(listed.node, 'parameters').length === 0 && nodeAt(listed.node, 'parameters') !== undefined) {
    notes.push('The parameters are not a list: they are ignored.');
  }
  const is2 = document.version.major === 2;
  return {
    description: textAt(listed.node, 'description'),
    parameters: parametersOf(nodes, listed, document, notes),
    body: is2 ? swaggerBody(nodes, listed.node, document.root) : bodyOf(listed, document, notes),
    responses: responsesOf(listed, document),
    notes,
  };
}
