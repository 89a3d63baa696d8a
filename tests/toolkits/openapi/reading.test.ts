import { describe, expect, it } from 'vitest';
import { parseDescription } from '../../../src/toolkits/api/openapi/index.ts';
import { BASE_URL, described, describedOperation } from './descriptions.ts';

const parse = (text: string, max_bytes?: number) => parseDescription(text, { base_url: BASE_URL, max_bytes });
const refusal = (text: string, max_bytes?: number) => {
  const parsed = parse(text, max_bytes);
  return parsed.ok ? [] : parsed.issues.map(({ message }) => message);
};
const api = (paths: object, rest: object = {}) => ({
  openapi: '3.0.3',
  info: { title: 'T', version: '1' },
  paths,
  ...rest,
});

describe('a description', () => {
  it.each([
    [
      'openapi: 3.0\ninfo: {title: T, version: 1}\npaths:\n  /a:\n    get: {responses: {200: {description: ok}}}',
      'OpenAPI 3',
    ],
    [
      'swagger: 2\ninfo: {title: T, version: 1.5}\npaths:\n  /a:\n    get: {responses: {200: {description: ok}}}',
      'Swagger 2',
    ],
    ['{openapi: 3.1.0, info: {title: T}, paths: {/a: {get: {}}}}', 'OpenAPI 3.1.0'],
    [
      '\uFEFF{"openapi": "3.0.0", "info": {"title": "T"}, "paths": {"/a": {"get": null}, "/b": {"get": {}}}}',
      'OpenAPI 3.0.0',
    ],
  ])('is read as JSON or YAML, the version a text or a number: %s', (text, format) => {
    const parsed = parse(text);
    expect(
      parsed.ok && [parsed.description.format, parsed.description.title, parsed.description.operations.length],
    ).toEqual([format, 'T', 1]);
  });

  const aliases = [...'bcdefghij'].map((name, index) => `${name}: &${name} [${`*${'abcdefghij'[index]},`.repeat(9)}]`);
  const unreadable: Record<string, [text: string, sentence: RegExp]> = {
    nothing: ['', /not an object/],
    'a list': ['[]', /not an object/],
    'a page': ['<html>sign in</html>', /not an object/],
    'broken JSON': ['{"openapi": "3.0.0", "paths": {', /begins as JSON and is not/],
    'another format': ['{"asyncapi": "2.0.0"}', /another format/],
    'broken YAML': ['a: [b\nc: }', /neither JSON nor YAML: see line/],
    'brackets without end': [`a: ${'['.repeat(50_000)}`, /more than 200 levels/],
    'lists in lists in one line': [`a:\n  ${'- '.repeat(5000)}`, /more than 200 levels/],
    'aliases of aliases': [`a: &a [x,x,x,x,x,x,x,x,x]\n${aliases.join('\n')}`, /repeats itself beyond/],
  };
  it.each(Object.keys(unreadable))('that is %s is refused with a sentence', (what) => {
    const [text, sentence] = unreadable[what]!;
    expect(refusal(text)).toEqual([expect.stringMatching(sentence)]);
  });

  it('never shows its own text in a refusal', () => {
    expect(refusal('{"openapi": "3.0.0", "secret": hunter2}').join()).not.toContain('hunter2');
    expect(refusal('secret: [hunter2').join()).not.toContain('hunter2');
  });

  it('is refused beyond its size, YAML sooner than JSON', () => {
    expect(refusal(JSON.stringify(api({ '/a': { get: {} } })), 50)).toEqual([
      expect.stringMatching(/JSON may have 50\./),
    ]);
    expect(refusal(`openapi: 3.0.0\n# ${'x'.repeat(1000)}`, 4000)).toEqual([
      expect.stringMatching(/YAML may have 500\./),
    ]);
  });

  it('may nest an example so deep that it could not be written', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const text = `{"openapi":"3.0.0","info":{"title":"T"},"paths":{"/a":{"get":{"parameters":[{"name":"q","in":"query","schema":{"example":${deep},"default":${deep},"enum":[${deep}]}}]}}}}`;
    const parsed = parse(text);
    const operation = parsed.ok ? parsed.description.operations[0] : undefined;
    expect(parsed.ok && operation && parsed.description.describe(operation).parameters[0]?.name).toBe('q');
  });

  it('may nest compositions without end, and arguments may not (lesson 38)', () => {
    const deep = `${'{"allOf":['.repeat(50_000)}{"type":"string"}${']}'.repeat(50_000)}`;
    const content = `{"application/json":{"schema":${deep}}}`;
    const description = described(`{"openapi":"3.0.0","paths":{"/a":{"post":{"requestBody":{"content":${content}}}}}}`);
    const operation = description.operations[0]!;
    expect(JSON.stringify(description.describe(operation))).toContain('left out');
    expect(description.build(operation, { body: 'x' })).toMatchObject({ ok: true });
    const body: unknown = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`);
    expect(description.build(operation, { body })).toMatchObject({ ok: false, issues: [{ at: '' }] });
  });

  it('calls an operation without an id by its method and path, and a second one of the same id by another', () => {
    const paths = {
      '/a': { get: {}, put: { operationId: 'x' } },
      '/b': { get: { operationId: 'x' }, post: { operationId: '' } },
    };
    const description = described(api(paths));
    expect(description.operations.map(({ id }) => id)).toEqual(['GET /a', 'x', 'x#2', 'POST /b']);
    expect(description.warnings).toEqual(['operationId "x" is used more than once: GET /b is called "x#2".']);
    expect(description.find('x#2')?.path).toBe('/b');
    expect(description.find('put /a')?.id).toBe('x');
  });

  it('with one broken operation has all the others (lesson 34)', () => {
    const description = described(
      api({
        '/a': { get: { operationId: 'fine' } },
        '/b': 'nothing',
        '/c': {
          get: [],
          post: { operationId: 'odd', parameters: { a: 1 }, tags: null, responses: null, requestBody: 7 },
        },
        '/d': { $ref: 'https://elsewhere.example/paths.json' },
        '/e': {
          get: {
            operationId: 'lost',
            parameters: [null, { $ref: '#/components/parameters/none' }, { in: 'query' }, 5],
          },
        },
        d: { get: { operationId: 'slashless' } },
      }),
    );
    expect(description.operations.map(({ id }) => id)).toEqual(['fine', 'odd', 'lost', 'slashless']);
    for (const operation of description.operations) {
      expect(description.describe(operation).id).toBe(operation.id);
      expect(description.build(operation, {})).toMatchObject({ ok: true });
    }
    expect(description.warnings).toEqual([
      'The path /b is left out: it is not an object.',
      'GET /c is left out: it is not an object.',
      'The path /d is left out: "https://elsewhere.example/paths.json" is another document, which is not fetched.',
      'The path "d" does not begin with a slash: it is read as "/d".',
    ]);
    expect(description.describe(description.find('lost')!).left_out).toEqual([
      'A parameter is left out: "#/components/parameters/none" is not in the description.',
    ]);
  });

  it('has at most fifty warnings and the number of the rest', () => {
    const paths = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`/p${index}`, null]));
    const { warnings } = described(api(paths));
    expect([warnings.length, warnings.at(-1)]).toEqual([51, '31 more of the kind.']);
  });

  it('has parameters and schemas with the names of built-in members', () => {
    const { description, operation } = describedOperation(
      {
        parameters: [{ name: 'constructor', in: 'query', schema: { type: 'integer' } }],
        requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/toString' } } } },
      },
      { components: { schemas: { constructor: { type: 'string' } } } },
    );
    expect(description.validate(operation, { query_params: { constructor: 'x' } })).toMatchObject([
      { at: 'query_params.constructor' },
    ]);
    expect(description.describe(operation).request_body?.content[0]?.schema).toEqual({
      $comment: 'not known: "#/components/schemas/toString" is not in the description; anything is taken',
    });
  });
});

describe('the servers of a description', () => {
  const pathOf = (document: object, base_url: string) => {
    const description = described(document, { base_url });
    const built = description.build(description.operations[0]!, {});
    return [built.ok && built.request.path, ...description.warnings];
  };
  const of = (url: string, variables?: object) => api({ '/a': { get: {} } }, { servers: [{ url, variables }] });

  it.each([
    ['https://api.example.com', 'https://api.example.com', '/a'],
    ['https://api.example.com/v1/', 'https://api.example.com', '/v1/a'],
    ['https://api.example.com/v1', 'https://api.example.com/v1', '/a'],
    ['https://api.example.com/api/v1', 'https://api.example.com/api', '/v1/a'],
    ['/v2', 'https://proxy.example.com', '/v2/a'],
    ['/v2', 'https://proxy.example.com/gate/v2', '/a'],
    ['//api.example.com/v3', 'https://api.example.com', '/v3/a'],
    ['/', 'https://api.example.com/x', '/a'],
    ['https://{tenant}.example.com/{version}', 'https://acme.example.com', '/v9/a'],
  ])('%s under base_url %s', (server, base, path) => {
    expect(pathOf(of(server, { version: { default: 'v9' }, tenant: { default: 'demo' } }), base)).toEqual([path]);
  });

  it('of another origin are never called and told', () => {
    expect(pathOf(of('https://evil.example.org/v1'), BASE_URL)).toEqual([
      '/a',
      'The server https://evil.example.org/v1 is not that of base_url, which alone is called: paths are appended to base_url as it is.',
    ]);
  });

  it('of an operation alone are told where it is described', () => {
    const servers = [{ url: 'https://uploads.example.org' }];
    const description = described(api({ '/a': { get: { servers } }, '/b': { get: {} } }));
    const told = description.operations.map((operation) => description.describe(operation).left_out);
    expect(told).toEqual([[expect.stringContaining('https://uploads.example.org is not that of base_url')], []]);
  });

  it('may be an operation’s own, and Swagger’s host and basePath', () => {
    const own = api(
      { '/a': { get: { servers: [{ url: 'https://api.example.com/upload' }] } } },
      { servers: [{ url: '/v1' }] },
    );
    expect(pathOf(own, BASE_URL)).toEqual(['/upload/a']);
    const swagger = { swagger: '2.0', host: 'api.example.com', basePath: '/v1', paths: { '/a': { get: {} } } };
    expect(pathOf(swagger, BASE_URL)).toEqual(['/v1/a']);
  });

  it('cannot lead out of base_url', () => {
    const description = described(of('/../admin'));
    expect(description.build(description.operations[0]!, {})).toMatchObject({ ok: false });
  });
});

describe('a concrete path', () => {
  const paths = [
    '/repos/{owner}/{repo}',
    '/repos/{owner}/latest',
    '/repos/{owner}/{repo}/compare/{base}...{head}',
    '/v1/{name}:cancel',
  ];
  const description = described(
    api(Object.fromEntries(paths.map((path) => [path, { get: { operationId: path } }])), {
      servers: [{ url: '/api' }],
    }),
  );

  it.each([
    ['/api/repos/a/b', '/repos/{owner}/{repo}'],
    ['/api/repos/a/latest', '/repos/{owner}/latest'],
    ['/api/repos/a/b/compare/main...x', '/repos/{owner}/{repo}/compare/{base}...{head}'],
    ['/api/v1/job%3Aone:cancel?x=1', '/v1/{name}:cancel'],
    ['/repos/a/b', undefined],
    ['/api/repos/a', undefined],
    ['/api/repos//b', undefined],
  ])('%s belongs to %s', (path, id) => {
    expect(description.match('get', path)?.id).toBe(id);
    expect(description.match('POST', path)).toBeUndefined();
  });
});
