import { describe, expect, it } from 'vitest';
import { createClient } from '../../src/contract/client.ts';
import { authEventListSchema, type ErrorCode, type Problem, problemSchema } from '../../src/contract/schemas.ts';
import { AppError } from '../../src/core/errors.ts';
import type { RefreshResult } from '../../src/flows/api.ts';
import { asAdmin, eventOf, fakeApp, json, NOW, STATUS } from './fake-app.ts';

const INSTANCE = '/api/v1/admin/connection-instances/mcp/notes';
const CONNECTION = '/api/v1/admin/connections/mcp/notes';

async function problem(answer: Response): Promise<Problem> {
  expect(answer.headers.get('content-type')).toBe('application/problem+json');
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const told = problemSchema.parse(await answer.json());
  expect(told.status).toBe(answer.status);
  expect(told.type).toBe(`urn:mcp-data-platform:problem:${told.code}`);
  expect(told.detail.length).toBeGreaterThan(10);
  return told;
}

describe('what a request says', () => {
  it('refuses unknown fields of a body by their name (lesson 41)', async () => {
    const app = fakeApp();
    const told = await problem(await app.send(INSTANCE, json('PUT', { config: {}, descripton: 'typo' })));
    expect(told).toMatchObject({ code: 'invalid_request', issues: [{ path: 'descripton' }] });
    expect(told.detail).toContain('descripton');
    expect(app.reached('put')).toEqual([]);
  });

  it.each([
    ['a missing field', {}, 'config'],
    ['a wrong type', { config: [] }, 'config'],
    ['null', null, '(body)'],
    ['a list', [], '(body)'],
    ['an overlong description', { config: {}, description: 'x'.repeat(1_001) }, 'description'],
  ])('names the field for %s', async (_, body, path) => {
    const told = await problem(await fakeApp().send(INSTANCE, json('PUT', body)));
    expect(told).toMatchObject({ code: 'invalid_request', issues: [{ path }] });
  });

  it.each([
    ['?limit=0', 'limit'],
    ['?limit=501', 'limit'],
    ['?limit=ten', 'limit'],
    ['?limit=1.5', 'limit'],
    ['?limit=1&limit=2', 'limit'],
    ['?before=-1', 'before'],
    ['?before=1;drop', 'before'],
    ['?type=unknown', 'type.0'],
    ['?offset=3', 'offset'],
  ])('refuses the query %s', async (query, path) => {
    const told = await problem(await fakeApp().send(`${CONNECTION}/auth-events${query}`, { headers: asAdmin }));
    expect(told).toMatchObject({ code: 'invalid_request', issues: [{ path }] });
  });

  it('refuses a query where the operation has none', async () => {
    const told = await problem(await fakeApp().send('/api/v1/admin/system?verbose=1', { headers: asAdmin }));
    expect(told.issues).toEqual([{ path: 'verbose', message: 'is not a known field' }]);
  });

  it.each(['Notes', 'a_b', '-a', 'a'.repeat(64), '%00', '%2e%2e', 'a%2fb'])('refuses the name %s', async (name) => {
    const path = `/api/v1/admin/connection-instances/mcp/${name}`;
    const told = await problem(await fakeApp().send(path, { headers: asAdmin }));
    expect(told.status === 400 ? told.issues[0]?.path : told.code).toBe(told.status === 400 ? 'name' : 'not_found');
  });

  it('tells where JSON is broken without quoting it', async () => {
    const app = fakeApp();
    const init = { ...json('PUT', null), body: '{"config":{"credential":"hunter2" oops' };
    const told = await problem(await app.send(INSTANCE, init));
    expect(told.issues[0]?.message).toMatch(/^is not valid JSON/);
    expect(JSON.stringify(told)).not.toMatch(/hunter2|oops/);
  });

  it('refuses bodies that are not JSON, not UTF-8, or too large', async () => {
    const app = fakeApp();
    const text = await app.send(INSTANCE, { method: 'PUT', body: '{"config":{}}', headers: asAdmin });
    expect((await problem(text)).issues[0]?.path).toBe('Content-Type');
    const bytes = { ...json('PUT', null), body: new Uint8Array([0x22, 0xff, 0x22]) };
    expect((await problem(await app.send(INSTANCE, bytes))).issues[0]?.message).toContain('UTF-8');
    const large = json('PUT', { config: { x: 'x'.repeat(48 * 1_048_576) } });
    expect(await problem(await app.send(INSTANCE, large))).toMatchObject({ code: 'payload_too_large', status: 413 });
    expect(app.reached('put')).toEqual([]);
    const consent = json('POST', { return_url: `/${'x'.repeat(1_048_576)}` });
    expect((await problem(await app.send(`${CONNECTION}/oauth-start`, consent))).code).toBe('payload_too_large');
  });

  it('believes the bytes, not a Content-Length that is too small', async () => {
    const large = json('POST', { return_url: `/${'x'.repeat(1_048_576)}` }, { ...asAdmin, 'content-length': '2' });
    const answer = await fakeApp().send(`${CONNECTION}/oauth-start`, large);
    expect((await problem(answer)).code).toBe('payload_too_large');
  });

  it('takes no body, or an empty one, where the operation has no fields', async () => {
    const app = fakeApp();
    expect((await app.send(`${CONNECTION}/test`, json('POST', {}))).status).toBe(200);
    expect((await problem(await app.send(`${CONNECTION}/test`, json('POST', { dry: true })))).issues[0]?.path).toBe(
      'dry',
    );
  });

  it('names the methods of an address that does not take this one', async () => {
    const told = await problem(await fakeApp().send(INSTANCE, { method: 'PATCH', headers: asAdmin }));
    expect(told).toMatchObject({ code: 'not_found' });
    expect(told.detail).toContain('GET, PUT, DELETE');
  });
});

describe('connections', () => {
  const clientOf = (app: ReturnType<typeof fakeApp>) =>
    createClient({ baseUrl: '', fetch: (url, init) => app.send(url, init), headers: asAdmin });

  it('answers 201 to a create and 200 to a replacement, in the name of the caller', async () => {
    const app = fakeApp();
    const body = { config: { endpoint: 'https://new.example/mcp' }, description: 'New' };
    const path = '/api/v1/admin/connection-instances/mcp/new';
    expect((await app.send(path, json('PUT', body))).status).toBe(201);
    expect((await app.send(path, json('PUT', body))).status).toBe(200);
    expect(app.reached('put')[0]).toMatchObject({ actor: 'apikey:ops', input: { description: 'New' } });
  });

  it('keeps the description that a replacement leaves out', async () => {
    const app = fakeApp();
    await clientOf(app).putConnection({ params: { kind: 'mcp', name: 'notes' }, body: { config: {} } });
    expect(app.reached('put')[0]).toMatchObject({ input: { description: 'Notes of the team' } });
  });

  it('leaves what the file declares to the file', async () => {
    const client = clientOf(fakeApp());
    const params = { kind: 'mcp', name: 'filed' };
    await expect(client.putConnection({ params, body: { config: {} } })).rejects.toMatchObject({
      code: 'managed_by_file',
      status: 409,
    });
    await expect(client.deleteConnection({ params })).rejects.toMatchObject({ code: 'managed_by_file' });
  });

  it('speaks through the typed client from end to end', async () => {
    const app = fakeApp();
    const client = clientOf(app);
    const params = { kind: 'mcp', name: 'notes' };
    expect((await client.listConnections()).connections).toHaveLength(3);
    expect((await client.getOAuthHealth()).connections.map(({ name }) => name)).toEqual(['notes', 'filed']);
    expect(await client.getOAuthStatus({ params })).toEqual(STATUS);
    expect(await client.testConnection({ params })).toEqual({
      ok: true,
      message: 'It answers.',
      details: { tools: 3 },
    });
    expect(await client.getSystem()).toEqual({
      version: '1.2.3',
      engine: 'embedded',
      public_url: 'http://127.0.0.1:8080',
      mcp_endpoint: 'http://127.0.0.1:8080/mcp',
    });
    await client.deleteConnection({ params });
    await expect(client.getConnection({ params })).rejects.toMatchObject({ code: 'not_found', status: 404 });
  });

  it('says that a connection without OAuth has no status', async () => {
    const client = clientOf(fakeApp());
    const params = { kind: 'mcp', name: 'open' };
    await expect(client.getOAuthStatus({ params })).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(client.reacquireOAuth({ params })).rejects.toMatchObject({ issues: [{ path: 'auth_mode' }] });
  });
});

describe('history', () => {
  const page = async (app: ReturnType<typeof fakeApp>, query: string) =>
    authEventListSchema.parse(await (await app.send(`${CONNECTION}/auth-events${query}`, { headers: asAdmin })).json());

  it('gives the newest 30 and where to go on', async () => {
    const app = fakeApp();
    app.script.events = Array.from({ length: 40 }, (_, index) => eventOf(40 - index));
    const first = await page(app, '');
    expect(first.events).toHaveLength(30);
    expect(first.next_before).toBe('11');
    expect(app.reached('history')[0]).toMatchObject({ key: { kind: 'mcp', name: 'notes' }, limit: 31 });
  });

  it('ends where there is no more, also on a full page', async () => {
    const app = fakeApp();
    app.script.events = [eventOf(2), eventOf(1)];
    expect((await page(app, '?limit=2')).next_before).toBeNull();
  });

  it('passes types and place on, one type or several', async () => {
    const app = fakeApp();
    await page(app, '?type=connect_started&type=refresh_succeeded&before=9');
    await page(app, '?type=connect_started');
    expect(app.reached('history')).toMatchObject([
      { type: ['connect_started', 'refresh_succeeded'], before: '9' },
      { type: ['connect_started'] },
    ]);
  });

  it('shows that of a deleted connection, and 404 for one that never was', async () => {
    const app = fakeApp();
    const gone = '/api/v1/admin/connections/mcp/gone/auth-events';
    expect((await app.send(gone, { headers: asAdmin })).status).toBe(404);
    app.script.events = [eventOf(1)];
    expect((await app.send(gone, { headers: asAdmin })).status).toBe(200);
  });

  it('lists all connections together without naming one', async () => {
    const app = fakeApp();
    await app.send('/api/v1/admin/auth-events?limit=500', { headers: asAdmin });
    expect(app.reached('history')[0]).not.toHaveProperty('key');
  });
});

describe('refresh now', () => {
  const cases: [RefreshResult, number, ErrorCode | null][] = [
    [{ type: 'refreshed' }, 200, null],
    [{ type: 'current' }, 200, null],
    [{ type: 'waiting', until: NOW + 4_200, why: 'leased' }, 503, 'unavailable'],
    [{ type: 'waiting', until: 0, why: 'the new token is safe' }, 503, 'unavailable'],
    [{ type: 'no_refresh_token' }, 409, 'needs_person'],
    [{ type: 'not_connected' }, 409, 'needs_person'],
    [
      {
        type: 'revoked',
        revocation: {
          occurred_at: NOW,
          reason: 'invalid_grant',
          idp_host: 'x',
          decided_by: 'idp',
          from_generation: 1n,
        },
      },
      409,
      'needs_person',
    ],
    [
      {
        type: 'failed',
        failure: { type: 'transient', since: NOW, last_at: NOW, count: 1, idp_error_code: null, error_class: 'dns' },
      },
      502,
      'token_endpoint_failed',
    ],
    [{ type: 'gone' }, 404, 'not_found'],
  ];

  it.each(cases)('answers %o with %i', async (result, status, code) => {
    const app = fakeApp();
    app.script.refresh = result;
    const answer = await app.send(`${CONNECTION}/reacquire-oauth`, json('POST', {}));
    expect(answer.status).toBe(status);
    if (code) expect((await problem(answer)).code).toBe(code);
    else expect(await answer.json()).toEqual({ outcome: result.type, status: STATUS });
    expect(app.reached('refresh')).toMatchObject([{ reason: 'operator', actor: 'apikey:ops' }]);
  });

  it('says when to try again, never sooner than in a second', async () => {
    const app = fakeApp();
    const retryAfter = async (until: number) => {
      app.script.refresh = { type: 'waiting', until, why: 'leased' };
      return (await app.send(`${CONNECTION}/reacquire-oauth`, json('POST', {}))).headers.get('retry-after');
    };
    expect([await retryAfter(NOW + 4_200), await retryAfter(NOW), await retryAfter(0)]).toEqual(['5', '1', '1']);
  });
});

describe('faults', () => {
  it('are 500 without their text, with one log line that the answer names', async () => {
    const app = fakeApp();
    app.script.fault = new TypeError('password=hunter2 at /srv/secret.ts');
    const told = await problem(await app.send(CONNECTION.concat('/test'), json('POST', {})));
    expect(told).toMatchObject({ status: 500, code: 'internal' });
    expect(JSON.stringify(told)).not.toMatch(/hunter2|secret\.ts|TypeError/);
    expect(app.lines).toHaveLength(1);
    expect(app.lines[0]).toMatchObject({
      level: 'error',
      fields: { instance: told.instance, error: app.script.fault },
    });
  });

  it('of ours keep their message, issues and Retry-After; their cause stays in the log', async () => {
    const app = fakeApp();
    app.script.fault = new AppError('database_unavailable', 'The database cannot be reached. Try again shortly.', {
      cause: new Error('ECONNREFUSED 10.0.0.5'),
      retry_after: 0.2,
    });
    const answer = await app.send('/api/v1/admin/connection-instances', { headers: asAdmin });
    expect(answer.headers.get('retry-after')).toBe('1');
    const told = await problem(answer);
    expect(told.detail).toBe('The database cannot be reached. Try again shortly.');
    expect(JSON.stringify(told)).not.toContain('10.0.0.5');
    expect(app.lines[0]).toMatchObject({ level: 'warn', fields: { code: 'database_unavailable' } });
  });

  it('that the caller can mend are not logged', async () => {
    const app = fakeApp();
    app.script.fault = new AppError('invalid_config', 'mcp/notes was not saved: endpoint must be a URL.', {
      issues: [{ path: 'endpoint', message: 'must be a URL' }],
    });
    const told = await problem(await app.send(INSTANCE, json('PUT', { config: {}, description: '' })));
    expect(told).toMatchObject({ status: 422, issues: [{ path: 'endpoint', message: 'must be a URL' }] });
    expect(app.lines).toEqual([]);
  });
});
