import { z } from 'zod';
import { ENDPOINTS, type Endpoint, type EndpointResponse, problemsOf } from '../contract/endpoints.ts';
import { WIRE_SCHEMAS } from '../contract/schemas.ts';
import { ERROR_TABLE } from '../core/errors.ts';

type Json = Record<string, unknown>;

const SCHEMA_REF = '#/components/schemas/';

/** A wire schema's JSON Schema; the format of an instant says what its 400 characters of pattern do. */
function tidy({ jsonSchema }: { jsonSchema: Json }): void {
  if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
  delete jsonSchema.readOnly;
}

function componentSchemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(WIRE_SCHEMAS)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { uri: (id) => SCHEMA_REF + id, io: 'input', override: tidy });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema, $id, ...schema }]) => [id, schema satisfies Json]),
  );
}

function schemaRef(schema: z.ZodType): Json {
  const named = Object.entries(WIRE_SCHEMAS).find(([, known]) => known === schema);
  if (!named) throw new TypeError('a body or answer of the table has no name in WIRE_SCHEMAS');
  return { $ref: SCHEMA_REF + named[0] };
}

function parametersOf(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', override: tidy });
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }));
}

function successOf(response: EndpointResponse): Json {
  const { description } = response;
  if (response.content === 'json') {
    return { description, content: { 'application/json': { schema: schemaRef(response.schema) } } };
  }
  if (response.content === 'none') return { description };
  return { description, content: { 'text/html': { schema: { type: 'string' } } } };
}

function problemAnswers(endpoint: Endpoint): Json {
  const byStatus = new Map<number, string[]>();
  for (const code of problemsOf(endpoint)) {
    const { status, title } = ERROR_TABLE[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${code}\`: ${title}.`]);
  }
  const content = { 'application/problem+json': { schema: { $ref: `${SCHEMA_REF}Problem` } } };
  return Object.fromEntries(
    [...byStatus].map(([status, lines]) => [String(status), { description: lines.join(' '), content }]),
  );
}

function operation(id: string, endpoint: Endpoint): Json {
  const answers = Object.entries(endpoint.responses).map(([status, response]) => [status, successOf(response)]);
  const parameters = [...parametersOf(endpoint.params, 'path'), ...parametersOf(endpoint.query, 'query')];
  const body = endpoint.body && {
    required: !endpoint.body.safeParse({}).success,
    content: { 'application/json': { schema: schemaRef(endpoint.body) } },
  };
  const open = endpoint.role === 'public';
  return {
    operationId: id,
    summary: endpoint.summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: body } : {}),
    responses: { ...problemAnswers(endpoint), ...Object.fromEntries(answers) },
    security: open ? [] : [{ session: [] }, { api_key: [] }, { bearer: [] }],
    'x-required-role': endpoint.role,
  };
}

/** The OpenAPI document of the table. @see https://spec.openapis.org/oas/v3.1.1.html */
export function openApiDocument(info: { version: string; publicUrl: string; sessionCookie: string }): Json {
  const paths: Record<string, Json> = {};
  for (const [id, endpoint] of Object.entries(ENDPOINTS)) {
    const item = paths[endpoint.path] ?? {};
    item[endpoint.method.toLowerCase()] = operation(id, endpoint);
    paths[endpoint.path] = item;
  }
  return {
    openapi: '3.1.0',
    info: { title: 'MCP Data Platform: admin API', version: info.version, license: { name: 'Apache-2.0' } },
    servers: [{ url: info.publicUrl }],
    paths,
    components: {
      schemas: componentSchemas(),
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: info.sessionCookie },
        api_key: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        bearer: { type: 'http', scheme: 'bearer' },
      },
    },
  };
}
