import { GROUPS } from './argument-check.ts';
import type {
  DescribedBody,
  DescribedParameter,
  JsonSchema,
  Operation,
  OperationDetails,
  ParameterPlace,
} from './description.ts';
import type { Document } from './document.ts';
import { Sentences, shortened } from './document-node.ts';
import type { Media, OperationView, Parameter } from './operation-parts.ts';
import { bodyForm, concreteType } from './request-body.ts';
import { type Detail, SchemaView, sizeOf, TooLarge } from './schema-view.ts';

/** From everything to names; the first level at which an operation fits is taken. */
const DETAILS: readonly Detail[] = [
  { references: 8, levels: 12, members: 300, text: 2000, examples: true },
  { references: 5, levels: 8, members: 150, text: 500, examples: true },
  { references: 3, levels: 6, members: 100, text: 200, examples: false },
  { references: 2, levels: 4, members: 60, text: 100, examples: false },
  { references: 1, levels: 3, members: 40, text: 0, examples: false },
  { references: 1, levels: 1, members: 20, text: 0, examples: false },
];

/** What is shown of the request and of the responses, as indexes of `DETAILS`: answers are shortened before questions. */
const PLANS: readonly { request: number; response: number | 'none' }[] = [
  { request: 0, response: 0 },
  { request: 0, response: 1 },
  { request: 0, response: 2 },
  { request: 1, response: 3 },
  { request: 1, response: 4 },
  { request: 2, response: 4 },
  { request: 3, response: 5 },
  { request: 3, response: 'none' },
  { request: 4, response: 'none' },
  { request: 5, response: 'none' },
];

const DEFAULT_BYTES = 65_536;
/** What a description, its parameters' texts and the braces around take besides schemas. */
const OVERHEAD_CHARACTERS = 2000;
const MAX_EXAMPLE = 4000;
const MAX_HEADERS = 50;

type Context = { document: Document; maxBytes: number; sentences: Sentences };

function viewerOf(context: Context, direction: 'request' | 'response', detail: Detail): SchemaView {
  const cut = (what: string) => context.sentences.add(what);
  return new SchemaView(context.document, { direction, detail, room: context.maxBytes, cut });
}

function examplesWithin(examples: readonly unknown[], detail: Detail): unknown[] | undefined {
  if (!detail.examples) return undefined;
  const some = examples.filter((example) => sizeOf(example) <= MAX_EXAMPLE).slice(0, 2);
  return some.length === 0 ? undefined : some;
}

function text(value: string | undefined, detail: Detail): string | undefined {
  if (value === undefined || value === '') return undefined;
  return shortened(value.trim(), Math.max(detail.text, 80));
}

/** Style and explode only where they change what is sent. */
function wording({ style, explode, in: place }: Parameter): { style?: string; explode?: boolean } {
  const usual = place === 'query' || place === 'cookie' ? style === 'form' && explode : style === 'simple' && !explode;
  return usual ? {} : { style, explode };
}

function describedParameter(parameter: Parameter, viewer: SchemaView, detail: Detail): DescribedParameter {
  return {
    name: parameter.name,
    in: parameter.in,
    required: parameter.required,
    ...(parameter.deprecated ? { deprecated: true } : {}),
    ...optional('description', text(parameter.description, detail)),
    schema: viewer.show(parameter.schema ?? {}),
    ...wording(parameter),
    ...optional('examples', examplesWithin(parameter.examples, detail)),
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { [key in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [key in K]?: V };
}

function describedBody(media: Media, viewer: SchemaView, detail: Detail): DescribedBody {
  return {
    content_type: media.type,
    schema: viewer.show(media.schema ?? {}),
    ...optional('examples', examplesWithin(media.examples, detail)),
  };
}

/** Media types that are written alike are one: `application/json` and its `charset` and vendor forms. */
function distinct(media: readonly Media[], context: Context): Media[] {
  const kept: Media[] = [];
  for (const one of media) {
    if (!kept.some((other) => other.schema === one.schema && bodyForm(other.type) === bodyForm(one.type)))
      kept.push(one);
  }
  if (kept.length < media.length) {
    const left = media.filter((one) => !kept.includes(one)).map((one) => one.type);
    context.sentences.add(`Further media types of the same schema: ${shortened(left.join(', '), 300)}.`);
  }
  return kept;
}

function attempt(
  operation: Operation,
  view: OperationView,
  plan: (typeof PLANS)[number],
  context: Context,
): OperationDetails {
  const request = DETAILS[plan.request] as Detail;
  const response = plan.response === 'none' ? undefined : DETAILS[plan.response];
  const asked = viewerOf(context, 'request', request);
  const answered = response === undefined ? undefined : viewerOf(context, 'response', response);
  if (response === undefined) context.sentences.add('The responses are shown without their content.');
  const responses = Object.entries(view.responses).map(
    ([status, one]): [string, OperationDetails['responses'][string]] => {
      const isShown =
        answered !== undefined && response !== undefined && (plan.response === 0 || !/^[45]/.test(status));
      const content = isShown
        ? distinct(one.media, context).map((media) => describedBody(media, answered, response))
        : [];
      if (answered !== undefined && !isShown && one.media.length > 0) {
        context.sentences.add('Responses of errors are shown without their content.');
      }
      return [
        status,
        {
          ...optional('description', text(one.description, response ?? request)),
          ...(one.headers.length > 0 ? { headers: one.headers.slice(0, MAX_HEADERS) } : {}),
          ...(content.length > 0 ? { content } : {}),
        },
      ];
    },
  );
  const { body } = view;
  return {
    ...operation,
    ...optional('description', text(view.description, request)),
    parameters: view.parameters.map((parameter) => describedParameter(parameter, asked, request)),
    ...(body === undefined
      ? {}
      : {
          request_body: {
            required: body.required,
            ...optional('description', text(body.description, request)),
            content: distinct(body.media, context).map((media) => describedBody(media, asked, request)),
          },
        }),
    responses: Object.fromEntries(responses),
    left_out: [...view.notes.slice(0, 10).map((note) => shortened(note, 300)), ...context.sentences.list()],
  };
}

/** What is left when even the shortest form is too large: what must be given, by name. */
function namesAlone(operation: Operation, view: OperationView, maxBytes: number): OperationDetails {
  const parameters = view.parameters.map(({ name, in: place, required }) => ({
    name,
    in: place,
    required,
    schema: {},
  }));
  const details: OperationDetails = { ...operation, parameters, responses: {}, left_out: [] };
  const told = 'Too large to be shown: only names are; see the vendor’s documentation.';
  for (let count = parameters.length; ; count = Math.floor(count / 2)) {
    const some = [...parameters].sort((a, b) => Number(b.required) - Number(a.required)).slice(0, count);
    const shown: OperationDetails = {
      ...details,
      parameters: some,
      ...(view.body === undefined ? {} : { request_body: { required: view.body.required, content: [] } }),
      left_out: count < parameters.length ? [told, `${parameters.length - count} parameters are left out.`] : [told],
    };
    if (bytesOf(shown) <= maxBytes || count === 0) return shown;
  }
}

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

export function describeOperation(
  operation: Operation,
  view: OperationView,
  document: Document,
  maxBytes = DEFAULT_BYTES,
): OperationDetails {
  for (const plan of PLANS) {
    const context = { document, maxBytes: Math.max(maxBytes, OVERHEAD_CHARACTERS), sentences: new Sentences(20) };
    try {
      const details = attempt(operation, view, plan, context);
      if (bytesOf(details) <= maxBytes) return details;
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
    }
  }
  return namesAlone(operation, view, maxBytes);
}

const FILE_SCHEMA: JsonSchema = {
  anyOf: [
    { type: 'string' },
    {
      type: 'object',
      properties: { base64: { type: 'string' }, filename: { type: 'string' }, content_type: { type: 'string' } },
      required: ['base64'],
    },
  ],
};

function groupSchema(parameters: readonly DescribedParameter[], isOpen: boolean): JsonSchema {
  const properties = parameters.map((one) => {
    const schema =
      typeof one.schema === 'boolean' || one.description === undefined
        ? one.schema
        : { ...one.schema, description: one.description };
    return [one.name, schema];
  });
  const required = parameters.filter((one) => one.required).map((one) => one.name);
  return {
    type: 'object',
    properties: Object.fromEntries(properties) as unknown,
    ...(required.length > 0 ? { required } : {}),
    ...(isOpen ? {} : { additionalProperties: false }),
  };
}

function bodySchemaOf({ content_type, schema }: DescribedBody): JsonSchema {
  const form = bodyForm(content_type);
  if (form === 'bytes') return FILE_SCHEMA;
  return form === 'text' ? { type: 'string', description: `A ${content_type} document.` } : schema;
}

/** `OperationArguments` of one operation, from what `describeOperation` shows of it. */
export function argumentsSchema(details: OperationDetails): JsonSchema {
  const properties: [string, JsonSchema][] = [];
  const required: string[] = [];
  for (const place of Object.keys(GROUPS) as ParameterPlace[]) {
    const parameters = details.parameters.filter((one) => one.in === place);
    if (parameters.length === 0) continue;
    properties.push([GROUPS[place], groupSchema(parameters, place === 'header')]);
    if (parameters.some((one) => one.required)) required.push(GROUPS[place]);
  }
  const { request_body: body } = details;
  if (body !== undefined) {
    const schemas = body.content.map(bodySchemaOf);
    properties.push([
      'body',
      schemas.length === 1 ? (schemas[0] ?? {}) : schemas.length === 0 ? {} : { anyOf: schemas },
    ]);
    if (body.required) required.push('body');
    const types = body.content.map((one) => concreteType(one.content_type));
    if (types.length > 1) properties.push(['content_type', { type: 'string', enum: [...new Set(types)] }]);
  }
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}
