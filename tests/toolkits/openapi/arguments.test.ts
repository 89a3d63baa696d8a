import { describe, expect, it } from 'vitest';
import { bodyIssues, bodyOperation, describedOperation, swaggerOperation } from './descriptions.ts';

const object = (properties: object, rest: object = {}) => ({ type: 'object', properties, ...rest });

describe('a body that is not as described is told how to be corrected', () => {
  const pet = object(
    { name: { type: 'string' }, age: { type: 'integer' }, kind: { enum: ['dog', 'cat'] } },
    { required: ['name'] },
  );

  it.each<[schema: unknown, body: unknown, issue: string]>([
    [pet, {}, 'body.name: is missing.'],
    [pet, { nmae: 'Rex' }, 'body.name: is missing; "nmae" was given.'],
    [pet, { name: 5 }, 'body.name: must be a text; got 5: write "5".'],
    [pet, { name: 'R', age: '5' }, 'body.age: must be a whole number; got the text "5": write 5 without quotes.'],
    [
      pet,
      { name: 'R', age: 2 ** 60 },
      'body.age: is beyond 2^53, where a number loses its last digits: call by method and path, with the whole body as its JSON text.',
    ],
    [
      pet,
      { name: 'R', age: '9007199254740993' },
      'body.age: must be a whole number; got the text "9007199254740993": call by method and path, with the whole body as its JSON text.',
    ],
    [pet, { name: 'R', age: 1.5 }, 'body.age: must be a whole number; got 1.5.'],
    [
      pet,
      { name: 'R', kind: 'dgo' },
      'body.kind: must be one of "dog", "cat"; got the text "dgo". Did you mean "dog"?',
    ],
    [pet, [], 'body: must be an object; got a list of 0.'],
    [
      pet,
      '{"name":"R"}',
      `body: must be an object; got the text "{\\"name\\":\\"R\\"}": write the object itself, not its JSON as a text.`,
    ],
    [{ type: 'boolean' }, 'true', 'body: must be true or false; got the text "true": write true without quotes.'],
    [{ type: 'array', items: pet }, [{ name: 'a' }, {}], 'body[1].name: is missing.'],
    [{ type: 'array', items: {} }, 'a', 'body: must be a list; got the text "a": write ["a"].'],
    [{ type: 'string', maxLength: 2 }, 'abc', 'body: may have 2 characters; got 3.'],
    [{ type: 'string', minLength: 2 }, '😀', 'body: needs at least 2 characters; got 1.'],
    [{ type: 'string', pattern: '^[a-z]+$' }, 'A', 'body: must match the pattern ^[a-z]+$; got the text "A".'],
    [{ type: 'number', minimum: 1, exclusiveMinimum: true }, 1, 'body: must be more than 1; got 1.'],
    [{ type: 'number', exclusiveMaximum: 3 }, 3, 'body: must be less than 3; got 3.'],
    [{ type: 'number', multipleOf: 0.01 }, 0.125, 'body: must be a multiple of 0.01; got 0.125.'],
    [{ type: 'array', uniqueItems: true }, [1, 1], 'body: must not have the same item twice.'],
    [{ type: 'array', minItems: 1 }, [], 'body: needs at least 1 items; got 0.'],
    [{ type: 'array', contains: { const: 1 } }, [2], 'body: needs at least 1 items of the described form; has 0.'],
    [{ type: 'array', prefixItems: [{ type: 'string' }], items: false }, ['a', 1], 'body[1]: must not be given.'],
    [object({ a: {} }, { additionalProperties: false }), { b: 1 }, 'body.b: is not known here; known are "a".'],
    [
      object({ colour: {} }, { additionalProperties: false }),
      { color: 1 },
      'body.color: is not known here; did you mean "colour"?',
    ],
    [
      object({}, { additionalProperties: { type: 'integer' } }),
      { b: 'x' },
      'body.b: must be a whole number; got the text "x".',
    ],
    [
      object({}, { patternProperties: { '^x-': { type: 'string' } } }),
      { 'x-a': 1 },
      'body.x-a: must be a text; got 1: write "1".',
    ],
    [object({}, { dependentRequired: { a: ['b'] } }), { a: 1 }, 'body.b: is missing: "a" needs it.'],
    [object({}, { propertyNames: { maxLength: 1 } }), { ab: 1 }, 'body.ab (the name): may have 1 characters; got 2.'],
    [{ not: { type: 'string' } }, 'x', 'body: is of a form that the description rules out.'],
    [{ const: 'a' }, 'b', 'body: must be one of "a"; got the text "b".'],
    [
      { allOf: [pet, object({ size: { type: 'integer' } }, { required: ['size'] })] },
      { name: 'R' },
      'body.size: is missing.',
    ],
    [
      JSON.parse('{"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}}'),
      { a: 1 },
      'body.b: is missing.',
    ],
    [
      { anyOf: [{ type: 'string' }, object({ id: { type: 'integer' } }, { required: ['id'] })] },
      { id: 'x' },
      'body: fits none of the 2 described forms; the nearest says: id must be a whole number; got the text "x".',
    ],
  ])('%j, given %j', (schema, body, issue) => {
    expect(bodyIssues(schema, body, undefined, '3.1.0')).toEqual([issue]);
  });
});

describe('a body is let through', () => {
  it.each<[what: string, schema: unknown, body: unknown]>([
    ['with null where 3.0 says nullable', { type: 'string', nullable: true, enum: ['a'] }, null],
    ['with null where Swagger 2.0 says x-nullable', object({ a: { type: 'object', 'x-nullable': true } }), { a: null }],
    ['without required members that are readOnly', object({ id: { readOnly: true } }, { required: ['id'] }), {}],
    ['that several branches of oneOf match', { oneOf: [{ type: 'number' }, { type: 'integer' }] }, 1],
    [
      'whose composition forbids in one part what another describes',
      {
        allOf: [object({ a: {} }, { additionalProperties: false }), object({ b: {} }, { additionalProperties: false })],
      },
      { a: 1, b: 2 },
    ],
    ['with a type that is none', object({ a: { type: 'any' }, b: { type: 'DateTime' } }), { a: 1, b: 'x' }],
    ['where required is a boolean', object({ a: { required: true } }, { required: true }), {}],
    ['with a pattern that RE2 does not know', { type: 'string', pattern: '^(?!x)' }, 'x'],
    ['with a pattern that is broken', { type: 'string', pattern: '[' }, 'x'],
    ['with an enum of another type than its own', { type: 'integer', enum: ['1', '2'] }, 1],
    ['with a number that is whole', { type: 'integer' }, 2.0],
    ['with a fraction that binary numbers only approach', { type: 'number', multipleOf: 0.1 }, 0.3],
    ['whatever its format', { type: 'string', format: 'date-time' }, 'yesterday'],
    ['where its schema is another document', { $ref: 'https://elsewhere.example/pet.json' }, { any: 1 }],
    ['where its schema refers to itself alone', { $ref: '#/components/schemas/loop' }, 5],
  ])('%s', (_, schema, body) => {
    expect(bodyIssues(schema, body, { schemas: { loop: { $ref: '#/components/schemas/loop' } } })).toEqual([]);
  });

  it('through schemas that contain themselves, and is checked there', () => {
    const node = object({
      value: { type: 'integer' },
      children: { type: 'array', items: { $ref: '#/components/schemas/node' } },
    });
    const body = { value: 1, children: [{ value: 2, children: [{ value: 'x' }] }] };
    expect(bodyIssues({ $ref: '#/components/schemas/node' }, body, { schemas: { node } })).toEqual([
      'body.children[0].children[0].value: must be a whole number; got the text "x".',
    ]);
  });

  it('in bounded time, whatever the patterns and branches (lesson 38)', () => {
    const text = `${'a'.repeat(50_000)}!`;
    expect(bodyIssues({ type: 'string', pattern: '^(a+)+$' }, text)).toHaveLength(1);
    const loop = {
      anyOf: Array.from({ length: 8 }, () => ({ $ref: '#/components/schemas/loop' })),
      not: { type: 'string' },
    };
    expect(bodyIssues({ $ref: '#/components/schemas/loop' }, 'x', { schemas: { loop } }).length).toBeLessThanOrEqual(
      20,
    );
  });

  it('with at most twenty things wrong', () => {
    const items = { type: 'integer' };
    expect(
      bodyIssues(
        { type: 'array', items },
        Array.from({ length: 1000 }, () => 'x'),
      ),
    ).toHaveLength(20);
  });
});

describe('a discriminator', () => {
  const schemas = {
    cat: object({ kind: {}, lives: { type: 'integer' } }, { required: ['lives'] }),
    dog: object({ kind: {}, bark: { type: 'string' } }, { required: ['bark'] }),
  };
  const branches = [{ $ref: '#/components/schemas/cat' }, { $ref: '#/components/schemas/dog' }];
  const schema = {
    oneOf: branches,
    discriminator: { propertyName: 'kind', mapping: { hound: '#/components/schemas/dog' } },
  };
  const issues = (body: unknown) => bodyIssues(schema, body, { schemas });

  it('chooses the branch whose faults are told', () => {
    expect(issues({ kind: 'hound', bark: 1 })).toEqual(['body.bark: must be a text; got 1: write "1".']);
    expect(issues({ kind: 'cat' })).toEqual(['body.lives: is missing.']);
  });

  it('is asked for by the names it knows', () => {
    expect(issues({ bark: 'w' })).toEqual(['body.kind: is missing: one of "hound", "cat".']);
  });
});

describe('parameters', () => {
  const { description, operation } = describedOperation(
    {
      parameters: [
        { name: 'state', in: 'query', schema: { type: 'string', enum: ['open', 'closed'] } },
        { name: 'per_page', in: 'query', schema: { type: 'integer', maximum: 100 } },
        { name: 'labels', in: 'query', explode: false, schema: { type: 'array', items: { type: 'string' } } },
        { name: 'filter', in: 'query', style: 'deepObject', schema: object({ a: { type: 'integer' } }) },
        { name: 'X-Trace', in: 'header', required: true, schema: { type: 'string' } },
        { name: 'Authorization', in: 'header', required: true, schema: { type: 'string' } },
        { name: 'api_key', in: 'query', required: true, schema: { type: 'string' } },
      ],
    },
    {
      path: '/repos/{owner}/{number}',
      pathItem: { parameters: [{ name: 'number', in: 'path', schema: { type: 'integer' } }] },
    },
  );
  const path_params = { owner: 'me', number: 5 };
  const headers = { 'x-trace': 't' };
  const issues = (given: object) =>
    description
      .validate(operation, { path_params, headers, query_params: { api_key: 'k' }, ...given })
      .map(({ at, message }) => `${at}: ${message}`);

  it('are as described', () => {
    expect(issues({})).toEqual([]);
  });

  it('may be the text that goes over the wire, or the value that it stands for', () => {
    const query_params = { per_page: '5', labels: ['a', 7], state: 'open', filter: { a: '1' }, api_key: 5 };
    expect(issues({ path_params: { owner: 7, number: '5' }, query_params })).toEqual([]);
    expect(issues({ query_params: { api_key: 'k', state: null } })).toEqual([]);
  });

  it.each<[given: object, issue: string]>([
    [{ path_params: { number: 5 } }, 'path_params.owner: is missing.'],
    [{ path_params: { owner: '', number: 5 } }, 'path_params.owner: must not be empty.'],
    [{ path_params: { owner: 'me', number: '5e' } }, 'path_params.number: must be a whole number; got the text "5e".'],
    [
      { path_params: { owner: 2 ** 60, number: 5 } },
      `path_params.owner: must be a text; got ${2 ** 60}: too large to be exact, write it as a text.`,
    ],
    [{ headers: {} }, 'headers.X-Trace: is missing.'],
    [{ query_params: { api_key: 'k', per_page: '500' } }, 'query_params.per_page: must be at most 100; got 500.'],
    [
      { query_params: { api_key: 'k', labels: 'bug' } },
      'query_params.labels: must be a list; got the text "bug": write ["bug"].',
    ],
    [
      { query_params: { api_key: 'k', perPage: 5 } },
      'query_params.perPage: is not known here; did you mean "per_page"?',
    ],
    [{ query_params: { api_key: 'k', owner: 'me' } }, 'query_params.owner: belongs into path_params.'],
    [
      { query_params: { api_key: 'k', 'filter[a]': 1 } },
      'query_params.filter[a]: is written as a member of the object query_params.filter: {"filter": {…}}.',
    ],
    [{ query_params: [] }, 'query_params: must be an object of names and values; got a list of 0.'],
    [{ body: {} }, 'body: must not be given: the operation has none.'],
    [
      { query: {} },
      'query: is not known here; known are "path_params", "query_params", "headers", "cookies", "body", "content_type"',
    ],
  ])('given as %j', (given, issue) => {
    expect(issues(given)).toContain(issue);
  });

  it('that the connection adds itself are neither asked for nor offered', () => {
    const operationOf = {
      parameters: [
        { name: 'key', in: 'query', required: true, schema: {} },
        { name: 'X-Api-Key', in: 'header', required: true },
      ],
    };
    const { description: keyed, operation: one } = describedOperation(operationOf, {
      supplied: { query_params: ['key'], headers: ['x-api-key'] },
    });
    expect(keyed.validate(one, {})).toEqual([]);
    expect(keyed.describe(one).parameters).toEqual([]);
    expect(keyed.validate(one, { query_params: { key: 'mine' } })).toMatchObject([{ at: 'query_params.key' }]);
  });
});

describe('a body', () => {
  it('is missing only where it is required, and of a described media type', () => {
    const { description, operation } = bodyOperation({ type: 'object' });
    expect(description.validate(operation, {})).toEqual([{ at: 'body', message: 'is missing.' }]);
    expect(description.validate(operation, { body: {}, content_type: 'text/xml' })).toEqual([
      { at: 'content_type', message: 'must be one of "application/json"; got the text "text/xml".' },
    ]);
    expect(description.validate(operation, { body: {}, content_type: 'application/json; charset=utf-8' })).toEqual([]);
    expect(description.validate(operation, { body: {}, content_type: 'application/json\r\nx: y' })).toHaveLength(1);
  });

  it('of another media type than JSON has the shape that it is written from', () => {
    const of = (type: string, body: unknown) => {
      const { description, operation } = describedOperation({
        requestBody: { content: { [type]: { schema: { type: 'object' } } } },
      });
      return description.validate(operation, { body }).map(({ message }) => message);
    };
    expect(of('application/xml', { a: 1 })).toEqual(['must be the application/xml document as a text; got an object.']);
    expect(of('application/xml', '<a/>')).toEqual([]);
    expect(of('multipart/form-data', 'x')).toEqual(['must be an object of the form\'s fields; got the text "x".']);
    expect(of('image/png', 5)).toEqual(['must be a text, or bytes as {"base64": "…"}; got 5.']);
    expect(of('image/png', { base64: '/+8=' })).toEqual([]);
    expect(of('image/png', { base64: 'not base64!' })).toEqual([
      'must be a text, or bytes as {"base64": "…"}; got an object.',
    ]);
  });

  it('of Swagger 2.0 is its body parameter, or its form', () => {
    const body = swaggerOperation({
      parameters: [{ in: 'body', name: 'pet', required: true, schema: { type: 'object', required: ['name'] } }],
    });
    expect(body.description.validate(body.operation, { body: {} })).toEqual([
      { at: 'body.name', message: 'is missing.' },
    ]);
    const form = swaggerOperation({
      parameters: [
        { in: 'formData', name: 'file', type: 'file', required: true },
        { in: 'formData', name: 'count', type: 'integer', maximum: 3, exclusiveMaximum: true },
      ],
    });
    const issues = (given: unknown) =>
      form.description.validate(form.operation, { body: given }).map(({ at, message }) => `${at}: ${message}`);
    expect(issues({ file: { base64: 'AA==' }, count: '2' })).toEqual([]);
    expect(issues({ count: 3, fiel: 'x' })).toEqual([
      'body.file: is missing; "fiel" was given.',
      'body.count: must be less than 3; got 3.',
      'body.fiel: is not known here; did you mean "file"?',
    ]);
  });
});
