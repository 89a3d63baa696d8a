import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { builtRequest, described, describedOperation, swaggerOperation } from './descriptions.ts';

const anything = { type: ['string', 'number', 'boolean', 'array', 'object'] };
const list = ['blue', 'black'];
const map = { R: 100, G: 200 };

/** The path or query that one parameter of this style is written as, decoded by nobody. */
function written(place: 'path' | 'query' | 'header' | 'cookie', style: string, explode: boolean, value: unknown) {
  const parameters = [{ name: 'color', in: place, style, explode, schema: anything, required: place === 'path' }];
  const path = place === 'path' ? '/x/{color}' : '/x';
  const { description, operation } = describedOperation({ parameters }, { path, openapi: '3.1.0' });
  const group = { path: 'path_params', query: 'query_params', header: 'headers', cookie: 'cookies' }[place];
  const request = builtRequest(description, operation, { [group]: { color: value } });
  if (place === 'path') return request.path.slice('/x/'.length);
  if (place === 'query') return request.query.map((pair) => pair.join('=')).join('&');
  return place === 'header' ? request.headers.color : request.headers.cookie;
}

describe('a parameter is written as the table of OpenAPI 3.1 says', () => {
  it.each<['path' | 'query' | 'header' | 'cookie', string, boolean, unknown, string]>([
    ['path', 'matrix', false, 'blue', ';color=blue'],
    ['path', 'matrix', false, list, ';color=blue,black'],
    ['path', 'matrix', true, list, ';color=blue;color=black'],
    ['path', 'matrix', false, map, ';color=R,100,G,200'],
    ['path', 'matrix', true, map, ';R=100;G=200'],
    ['path', 'label', false, 'blue', '.blue'],
    ['path', 'label', false, list, '.blue,black'],
    ['path', 'label', true, list, '.blue.black'],
    ['path', 'label', false, map, '.R,100,G,200'],
    ['path', 'label', true, map, '.R=100.G=200'],
    ['path', 'simple', false, 'blue', 'blue'],
    ['path', 'simple', true, list, 'blue,black'],
    ['path', 'simple', false, map, 'R,100,G,200'],
    ['path', 'simple', true, map, 'R=100,G=200'],
    ['query', 'form', false, 'blue', 'color=blue'],
    ['query', 'form', false, '', 'color='],
    ['query', 'form', false, list, 'color=blue,black'],
    ['query', 'form', true, list, 'color=blue&color=black'],
    ['query', 'form', true, [], ''],
    ['query', 'form', false, map, 'color=R,100,G,200'],
    ['query', 'form', true, map, 'R=100&G=200'],
    ['query', 'spaceDelimited', false, list, 'color=blue%20black'],
    ['query', 'spaceDelimited', false, map, 'color=R%20100%20G%20200'],
    ['query', 'pipeDelimited', false, list, 'color=blue%7Cblack'],
    ['query', 'pipeDelimited', true, list, 'color=blue&color=black'],
    ['query', 'deepObject', true, map, 'color%5BR%5D=100&color%5BG%5D=200'],
    ['query', 'deepObject', true, { a: { b: [1, 2] } }, 'color%5Ba%5D%5Bb%5D%5B%5D=1&color%5Ba%5D%5Bb%5D%5B%5D=2'],
    ['header', 'simple', false, map, 'R,100,G,200'],
    ['header', 'simple', true, map, 'R=100,G=200'],
    ['cookie', 'form', false, list, 'color=blue,black'],
  ])('in %s, %s, explode %s: %j is %s', (place, style, explode, value, text) => {
    expect(written(place, style, explode, value)).toBe(text);
  });
});

describe('a path parameter that may hold slashes', () => {
  const of = (path: string, more: object = {}) => {
    const parameters = [{ name: 'name', in: 'path', required: true, schema: { type: 'string' }, ...more }];
    return describedOperation({ parameters }, { path, method: 'get' });
  };
  const built = ({ description, operation }: ReturnType<typeof of>, name: string) =>
    description.build(operation, { path_params: { name } });

  it.each([
    ['by RFC 6570', of('/v1/{+name}:cancel')],
    ['by allowReserved', of('/v1/{name}:cancel', { allowReserved: true })],
  ])('keeps them, and nothing else that could lead elsewhere (%s)', (_, described) => {
    expect(built(described, 'projects/p 1/jobs/a:b')).toMatchObject({
      request: { path: '/v1/projects/p%201/jobs/a:b:cancel' },
    });
    expect(built(described, 'a?b#c@d%2Fe')).toMatchObject({ request: { path: '/v1/a%3Fb%23c%40d%252Fe:cancel' } });
    for (const climbing of ['a/../b', '../b', './b', 'a//b', '/b', '..']) {
      expect(built(described, climbing)).toMatchObject(
        climbing === '..'
          ? { request: { path: '/v1/..:cancel' } }
          : { ok: false, issues: [{ at: 'path_params.name', message: expect.stringContaining('another place') }] },
      );
    }
  });

  it('has them encoded where the description says nothing of it', () => {
    expect(built(of('/v1/{name}'), 'projects/p')).toMatchObject({ request: { path: '/v1/projects%2Fp' } });
  });

  it('is what a concrete path of more segments belongs to, unless another operation fits better', () => {
    const paths = ['/v1/{+name}', '/v1/{+name}:cancel', '/v1/projects/{id}/jobs', '/v1/{a}/b'];
    const description = described({
      openapi: '3.0.3',
      paths: Object.fromEntries(paths.map((path) => [path, { get: { operationId: path } }])),
    });
    const idOf = (path: string) => description.match('GET', path)?.id;
    expect(idOf('/v1/projects/p/jobs/j')).toBe('/v1/{+name}');
    expect(idOf('/v1/projects/p/jobs/j:cancel')).toBe('/v1/{+name}:cancel');
    expect(idOf('/v1/projects/p/jobs')).toBe('/v1/projects/{id}/jobs');
    expect(idOf('/v1')).toBeUndefined();
  });
});

describe('a hostile value', () => {
  const { description, operation } = describedOperation(
    {
      parameters: [
        { name: 'q', in: 'query', schema: { type: 'string' } },
        { name: 'free', in: 'query', allowReserved: true, schema: { type: 'string' } },
        { name: 'tags', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
        { name: 'X-Note', in: 'header', schema: { type: 'string' } },
      ],
    },
    { path: '/a/{one}/b/{two}.json', method: 'get' },
  );
  const nasty = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc
      .array(
        fc.constantFrom(
          '/',
          '..',
          '.',
          '%2F',
          '%2e',
          '?',
          '#',
          '&',
          '=',
          '@',
          '\\',
          '\r\n',
          '\0',
          ';',
          ':',
          '\ud800',
          'a',
        ),
        { maxLength: 8 },
      )
      .map((parts) => parts.join('')),
  );

  it('of a path stays in its segment, and comes back as it was', () => {
    fc.assert(
      fc.property(nasty, nasty, (one, two) => {
        const built = description.build(operation, { path_params: { one, two } });
        if (!built.ok) {
          expect(one === '' || two === '' || one === '.' || one === '..').toBe(true);
          return;
        }
        const url = new URL(`https://api.example.com${built.request.path}`);
        expect(url.pathname).toBe(built.request.path);
        expect([url.search, url.hash]).toEqual(['', '']);
        const segments = url.pathname.split('/');
        expect(segments).toHaveLength(5);
        expect(decodeURIComponent(segments[2]!)).toBe(one.toWellFormed());
        expect(decodeURIComponent(segments[4]!)).toBe(`${two.toWellFormed()}.json`);
        expect(built.request.path).not.toMatch(/[@\\\r\n\0]|\/\//);
      }),
      { numRuns: 500 },
    );
  });

  it('of a query stays in its pair, and comes back as it was', () => {
    fc.assert(
      fc.property(nasty, nasty, fc.array(nasty), (q, free, tags) => {
        const request = builtRequest(description, operation, {
          path_params: { one: 'x', two: 'y' },
          query_params: { q, free, tags },
        });
        const query = request.query.map((pair) => pair.join('=')).join('&');
        const url = new URL(`https://api.example.com/?${query}`);
        expect(url.hash).toBe('');
        expect(url.searchParams.getAll('q')).toEqual([q.toWellFormed()]);
        expect(url.searchParams.getAll('free')).toEqual([free.toWellFormed()]);
        expect(url.searchParams.getAll('tags')).toEqual(tags.map((tag) => tag.toWellFormed()));
        expect([...url.searchParams.keys()]).toHaveLength(2 + tags.length);
      }),
      { numRuns: 500 },
    );
  });

  it('of a header is one line, or refused', () => {
    fc.assert(
      fc.property(nasty, (note) => {
        const built = description.build(operation, {
          path_params: { one: 'x', two: 'y' },
          headers: { 'X-Note': note },
        });
        if (built.ok) expect(() => new Headers(built.request.headers)).not.toThrow();
        else expect(built.issues).toMatchObject([{ at: 'headers.X-Note' }]);
      }),
    );
    const built = description.build(operation, { path_params: { one: 'x', two: 'y' }, headers: { 'X-A\r\nB': 'c' } });
    expect(built).toMatchObject({ ok: false });
  });
});

describe('a body', () => {
  const bodyOf = (type: string, schema: object, body: unknown, encoding?: object) => {
    const { description, operation } = describedOperation({
      requestBody: { content: { [type]: { schema, encoding } } },
    });
    return builtRequest(description, operation, { body });
  };

  it('of JSON is its JSON, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { body, contentType } = bodyOf('application/vnd.api+json', {}, value);
        expect([JSON.parse(String(body)), contentType]).toEqual([
          JSON.parse(JSON.stringify(value)),
          'application/vnd.api+json',
        ]);
      }),
    );
  });

  it('of a form comes back as its fields', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ unit: 'binary' })),
        (fields) => {
          const { body } = bodyOf('application/x-www-form-urlencoded', {}, fields);
          const entries = Object.entries(fields).map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]);
          expect([...new URLSearchParams(String(body))]).toEqual(entries);
        },
      ),
    );
  });

  it('of a form writes lists and objects by their encoding, else objects as JSON', () => {
    const type = 'application/x-www-form-urlencoded';
    const fields = { list: [1, 'a b'], map: { a: 1 } };
    expect(bodyOf(type, {}, fields).body).toBe('list=1&list=a+b&map=%7B%22a%22%3A1%7D');
    const deep = { map: { style: 'deepObject', explode: true }, list: { explode: false } };
    expect(bodyOf(type, {}, fields, deep).body).toBe('list=1,a+b&map%5Ba%5D=1');
  });

  it('of several parts is read by others as what was meant', async () => {
    const schema = {
      type: 'object',
      properties: { file: { type: 'string', format: 'binary' }, meta: { type: 'object' } },
    };
    const { body, contentType } = bodyOf('multipart/form-data', schema, {
      file: { base64: 'AP8NCg==', filename: 'a"\r\nb.bin', content_type: 'image/png' },
      meta: { a: 1 },
      note: '--form-part-boundary-1\r\nContent-Disposition: form-data; name="admin"\r\n\r\nyes',
    });
    const form = await new Response(body as Uint8Array<ArrayBuffer>, {
      headers: { 'content-type': contentType! },
    }).formData();
    expect([...form.keys()]).toEqual(['file', 'meta', 'note']);
    const file = form.get('file') as File;
    expect([file.type, file.name, [...new Uint8Array(await file.arrayBuffer())]]).toEqual([
      'image/png',
      'a"\r\nb.bin',
      [0, 255, 13, 10],
    ]);
    expect(form.get('meta')).toBe('{"a":1}');
    expect(form.get('note')).toContain('yes');
  });

  it('of bytes is the bytes, and of XML the text', () => {
    expect(bodyOf('image/png', {}, { base64: '_-8' })).toMatchObject({
      body: new Uint8Array([255, 239]),
      contentType: 'image/png',
    });
    expect(bodyOf('application/xml', {}, '<a/>')).toMatchObject({ body: '<a/>', contentType: 'application/xml' });
    expect(bodyOf('*/*', {}, { a: 1 })).toMatchObject({ body: '{"a":1}', contentType: 'application/json' });
  });
});

describe('a request of Swagger 2.0', () => {
  it('has lists by their collectionFormat, the query in its path, and its form', () => {
    const items = { type: 'string' };
    const parameters = ['csv', 'ssv', 'tsv', 'pipes', 'multi'].map((collectionFormat) => ({
      name: collectionFormat,
      in: 'query',
      type: 'array',
      items,
      collectionFormat,
    }));
    const form = { name: 'n', in: 'formData', type: 'integer' };
    const { description, operation } = swaggerOperation(
      { parameters: [...parameters, form] },
      { path: '/a/{id}?action=x#frag' },
    );
    const query_params = Object.fromEntries(parameters.map(({ name }) => [name, ['a', 'b']]));
    const request = builtRequest(description, operation, { path_params: { id: 7 }, query_params, body: { n: 5 } });
    expect(request.path).toBe('/a/7');
    expect(request.query.map((pair) => pair.join('='))).toEqual([
      'action=x',
      'csv=a,b',
      'ssv=a%20b',
      'tsv=a%09b',
      'pipes=a%7Cb',
      'multi=a',
      'multi=b',
    ]);
    expect([request.body, request.contentType]).toEqual(['n=5', 'application/x-www-form-urlencoded']);
  });
});

describe('arguments that are wrong', () => {
  it('build nothing', () => {
    const { description, operation } = describedOperation({}, { path: '/a/{id}' });
    expect(description.build(operation, {})).toEqual({
      ok: false,
      issues: [{ at: 'path_params.id', message: 'is missing.' }],
    });
  });
});
