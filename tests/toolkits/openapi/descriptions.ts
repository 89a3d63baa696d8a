import {
  type Description,
  type Operation,
  parseDescription,
  type RequestParts,
} from '../../../src/toolkits/api/openapi/index.ts';

export const BASE_URL = 'https://api.example.com';

/** Parses a description that must be readable. */
export function described(
  document: object | string,
  options: { base_url?: string; supplied?: object } = {},
): Description {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  const parsed = parseDescription(text, { base_url: BASE_URL, ...options });
  if (!parsed.ok) throw new Error(parsed.issues.map(({ message }) => message).join(' '));
  return parsed.description;
}

/** A description of one operation. */
export function describedOperation(
  operation: object,
  rest: {
    path?: string;
    method?: string;
    components?: object;
    pathItem?: object;
    openapi?: string;
    supplied?: object;
  } = {},
): { description: Description; operation: Operation } {
  const description = described(
    {
      openapi: rest.openapi ?? '3.0.3',
      info: { title: 'One', version: '1' },
      paths: { [rest.path ?? '/things']: { ...rest.pathItem, [rest.method ?? 'post']: operation } },
      components: rest.components,
    },
    { supplied: rest.supplied },
  );
  return { description, operation: description.operations[0]! };
}

/** The same for Swagger 2.0. */
export function swaggerOperation(operation: object, rest: { path?: string; root?: object } = {}) {
  const description = described({
    swagger: '2.0',
    info: { title: 'Two', version: '2' },
    paths: { [rest.path ?? '/things']: { post: operation } },
    ...rest.root,
  });
  return { description, operation: description.operations[0]! };
}

/** An operation whose JSON body has this schema. */
export function bodyOperation(schema: unknown, components?: object, openapi?: string) {
  const content = { 'application/json': { schema } };
  return describedOperation({ requestBody: { required: true, content } }, { components, openapi });
}

/** What is wrong with a body, as `where: what`. */
export function bodyIssues(schema: unknown, body: unknown, components?: object, openapi?: string): string[] {
  const { description, operation } = bodyOperation(schema, components, openapi);
  return description.validate(operation, { body }).map(({ at, message }) => `${at}: ${message}`);
}

export function builtRequest(description: Description, operation: Operation, given: object): RequestParts {
  const built = description.build(operation, given);
  if (!built.ok) throw new Error(built.issues.map(({ at, message }) => `${at}: ${message}`).join(' '));
  return built.request;
}
