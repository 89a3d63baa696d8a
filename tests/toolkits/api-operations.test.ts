import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { callTool, invoke, json, openApi, startApi, type TestApi } from './api-context.ts';
import { OPENAPI_3_0, OPENAPI_3_1, SWAGGER_2 } from './pet-store.ts';

const FORMATS: [format: string, text: string][] = [
  ['Swagger 2.0', JSON.stringify(SWAGGER_2)],
  ['OpenAPI 3.0.3', JSON.stringify(OPENAPI_3_0)],
  ['OpenAPI 3.1.0', stringify(OPENAPI_3_1)],
];
const IDS = [
  'addPet',
  'addCat',
  'findPetsByStatus',
  'getPetById',
  'updatePetWithForm',
  'uploadImage',
  'GET /store/inventory',
];

type Page = {
  api: { title: string; version: string; format: string };
  operations: { operation_id: string; annotations: object }[];
  total: number;
  next_cursor: string | null;
  hint: string | null;
  error: string | null;
};
type Schema = { [keyword: string]: unknown };
type Details = {
  operation: {
    parameters: { name: string; in: string; required: boolean; style?: string; schema: Schema }[];
    request_body?: { required: boolean; content: { content_type: string; schema: Schema }[] };
    responses: Record<string, { content?: { schema: Schema }[] }>;
    annotations: object;
    left_out: string[];
  };
  hint: string;
};

describe.each(FORMATS)('an API that is described by %s', (format, text) => {
  let server: TestApi;
  let api: ToolkitConnection;

  beforeAll(async () => {
    server = await startApi((_, response) => json(response, { ok: true }));
    const config = { auth_mode: 'api_key', api_key_header: 'X-Store-Key', credential: 'the key of this store' };
    api = openApi({ base_url: `${server.origin}/v2`, openapi_spec: text, ...config });
  });
  afterAll(async () => {
    await api.close();
    await server.close();
  });

  const list = async (args: object) =>
    (await callTool(api, 'api_list_endpoints', { ...args })).result.structuredContent as Page;
  const ids = ({ operations }: Page) => operations.map(({ operation_id }) => operation_id);
  const describeOf = async (operation_id: string) =>
    (await callTool(api, 'api_get_endpoint_schema', { operation_id })).result.structuredContent as Details;
  const sent = async (args: Record<string, unknown>) => {
    const { answer } = await callTool(api, 'api_invoke_endpoint', args);
    expect(answer).toMatchObject({ status: 200, error: null });
    const { method, url, headers, body } = server.requests.at(-1) as TestApi['requests'][number];
    return { method, url, headers, body };
  };

  it('is listed whole, in the order of its description, and in pages that stay the same', async () => {
    const whole = await list({});
    expect(whole).toMatchObject({ api: { title: 'Pet store', version: '1.0.7', format }, total: 7, next_cursor: null });
    expect(ids(whole)).toEqual(IDS);
    for (const round of [1, 2]) {
      const paged: string[] = [];
      let cursor: string | null = null;
      do {
        const page: Page = await list({ limit: 3, ...(cursor ? { cursor } : {}) });
        paged.push(...ids(page));
        cursor = page.next_cursor;
      } while (cursor !== null);
      expect([round, paged]).toEqual([round, IDS]);
    }
  });

  it.each([
    ['getPetById', 'getPetById'],
    ['GETPETBYID', 'getPetById'],
    ['/pet', 'addPet'],
    ['POST /pet/{petId}', 'updatePetWithForm'],
    ['GET /store/inventory', 'GET /store/inventory'],
    ['upload a picture', 'uploadImage'],
  ])('is searched with what fits exactly first: %s', async (query, first) => {
    expect(ids(await list({ query }))[0]).toBe(first);
  });

  it('says when nothing was found, and that a cursor is of another query', async () => {
    expect(await list({ query: 'zebra' })).toMatchObject({
      total: 0,
      hint: expect.stringContaining('Nothing matches'),
    });
    const { next_cursor } = await list({ query: 'pet', limit: 1 });
    expect(await list({ query: 'store', cursor: next_cursor })).toMatchObject({
      operations: [],
      error: expect.stringContaining('cursor'),
      hint: 'Begin again without cursor.',
    });
  });

  it('describes an operation with its references followed, and cut where they lead back to themselves', async () => {
    const { operation } = await describeOf('addPet');
    const category = { properties: { name: { type: 'string' }, parent: { $comment: expect.any(String) } } };
    const properties = {
      name: { type: 'string', minLength: 1 },
      nickname: { type: ['string', 'null'] },
      friends: { type: 'array', items: { $comment: expect.any(String) } },
      category,
    };
    expect(operation.request_body).toMatchObject({
      required: true,
      content: [{ content_type: 'application/json', schema: { properties } }],
    });
    expect(JSON.stringify(operation)).not.toContain('$ref');
    expect(operation.left_out).toEqual(['Schemas that contain themselves are shown once.']);
    expect(operation.annotations).toEqual({ readOnlyHint: false, destructiveHint: true, idempotentHint: false });
    // The connection sends the key itself.
    expect(operation.parameters).toEqual([]);
  });

  it('describes what is shared between operations: parameters of the path, responses by reference', async () => {
    const { operation, hint } = await describeOf('getPetById');
    expect(operation.parameters).toMatchObject([
      { name: 'petId', in: 'path', required: true, schema: { type: 'integer', minimum: 1 } },
    ]);
    expect(operation.responses['404']?.content?.[0]?.schema).toMatchObject({ type: 'object' });
    expect(operation.annotations).toMatchObject({ readOnlyHint: true });
    expect(hint).toContain('api_read_endpoint');
  });

  it('writes lists as the description wants each', async () => {
    const query_params = { status: ['available', 'sold'], fields: ['id', 'name'], sort: ['name', '-id'] };
    const { method, url } = await sent({ operation_id: 'findPetsByStatus', query_params });
    expect([method, url]).toEqual([
      'GET',
      '/v2/pet/findByStatus?status=available&status=sold&fields=id,name&sort=name%7C-id',
    ]);
  });

  it('is sent JSON with typed arguments, and the key once', async () => {
    const body = { name: 'Rex', petType: 'Dog', nickname: null, category: { id: 1, parent: { name: 'animals' } } };
    const request = await sent({ operation_id: 'addPet', body });
    expect(request).toMatchObject({ method: 'POST', url: '/v2/pet', body: JSON.stringify(body) });
    expect(request.headers).toMatchObject({
      'content-type': 'application/json',
      'x-store-key': 'the key of this store',
    });
  });

  it('is sent forms: fields, a list by its format, and a file', async () => {
    const form = { name: 'R e&x', status: 'sold', labels: ['a', 'b'] };
    const plain = await sent({ operation_id: 'updatePetWithForm', path_params: { petId: 7 }, body: form });
    expect(plain).toMatchObject({ method: 'POST', url: '/v2/pet/7', body: 'name=R+e%26x&status=sold&labels=a,b' });
    expect(plain.headers['content-type']).toBe('application/x-www-form-urlencoded');
    const file = { base64: Buffer.from('GIF89a').toString('base64'), filename: 'rex.gif', content_type: 'image/gif' };
    const parts = await sent({ operation_id: 'uploadImage', path_params: { petId: '7' }, body: { note: 'hi', file } });
    const headers = { 'content-type': parts.headers['content-type'] ?? '' };
    const read = await new Response(parts.body, { headers }).formData();
    const picture = read.get('file') as File;
    expect([read.get('note'), picture.name, picture.type, await picture.text()]).toEqual([
      'hi',
      'rex.gif',
      'image/gif',
      'GIF89a',
    ]);
  });

  it('is sent the same request by method and path', async () => {
    const described = await sent({ operation_id: 'getPetById', path_params: { petId: 7 } });
    expect(await sent({ method: 'GET', path: '/pet/7' })).toEqual(described);
    const form = { name: 'Rex', status: 'sold' };
    const by = { content_type: 'application/x-www-form-urlencoded', body: form };
    const byId = await sent({ operation_id: 'updatePetWithForm', path_params: { petId: 7 }, body: form });
    expect(await sent({ method: 'POST', path: '/pet/7', ...by })).toEqual(byId);
  });

  it.each<[why: string, args: Record<string, unknown>, told: RegExp]>([
    ['a missing body', { operation_id: 'addPet' }, /body is missing/],
    ['a missing member', { operation_id: 'addPet', body: { petType: 'Dog' } }, /body\.name is missing/],
    [
      'a value of another type, deep inside',
      { operation_id: 'addPet', body: { name: 'x', petType: 'x', friends: [{ name: 7, petType: 'x' }] } },
      /body\.friends\[0\]\.name must be a text; got 7/,
    ],
    [
      'a value that is none of the enumerated',
      { operation_id: 'findPetsByStatus', query_params: { status: ['gone'] } },
      /query_params\.status\[0\] must be one of "available", "pending", "sold"; got the text "gone"/,
    ],
    [
      'a part that allOf adds',
      { operation_id: 'addCat', body: { name: 'Tom', petType: 'Cat', huntingSkill: 'none' } },
      /body\.huntingSkill must be one of "lazy", "keen"/,
    ],
    [
      'an id that is too small',
      { operation_id: 'getPetById', path_params: { petId: 0 } },
      /path_params\.petId must be/,
    ],
    ['a misspelt parameter', { operation_id: 'getPetById', path_params: { petID: 1 } }, /petID.*petId/],
    [
      'a field that the form does not have',
      { operation_id: 'updatePetWithForm', path_params: { petId: 1 }, body: { name: 'x', colour: 'red' } },
      /body\.colour/,
    ],
    ['an operation that is not there', { operation_id: 'getPet' }, /near to it are getPetById/],
    ['a key that the platform sends', { operation_id: 'addPet', headers: { 'X-Store-Key': 'x' } }, /leave it out/],
  ])('refuses %s, and says how to correct it', async (_, args, told) => {
    const before = server.requests.length;
    const answer = await invoke(api, args);
    expect(answer).toMatchObject({ status: null, error: expect.stringMatching(told) });
    expect(answer.error).not.toMatch(/\.[.;]/);
    expect(server.requests).toHaveLength(before);
  });
});

describe('a slash in a path parameter', () => {
  it('that is sent as %2F and leads nowhere is told with the way to send it as a slash', async () => {
    const server = await startApi(({ url }, response) => json(response, {}, url === '/v1/a/b' ? 200 : 404));
    const parameters = [{ name: 'name', in: 'path', required: true, schema: { type: 'string' } }];
    const paths = { '/v1/{name}': { get: { operationId: 'get', parameters } } };
    const api = openApi({ base_url: server.origin, openapi_spec: JSON.stringify({ openapi: '3.0.3', paths }) });
    try {
      const args = { operation_id: 'get', path_params: { name: 'a/b' } };
      expect(await invoke(api, args)).toMatchObject({
        status: 404,
        hint: expect.stringContaining('by method and path'),
      });
      expect(await invoke(api, { ...args, path_params: { name: 'a' } })).toMatchObject({ status: 404, hint: null });
      expect(await invoke(api, { method: 'GET', path: '/v1/a/b' })).toMatchObject({ status: 200 });
    } finally {
      await api.close();
      await server.close();
    }
  });
});
