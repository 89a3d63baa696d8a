import { describe, expect, expectTypeOf, it } from 'vitest';
import { ApiProblem, createClient } from '../../src/contract/client.ts';
import type { AuthEventList, Connection, Problem } from '../../src/contract/schemas.ts';

type Sent = { url: string; init: RequestInit };

function clientAnswering(answer: () => Response | Promise<Response>) {
  const sent: Sent[] = [];
  const client = createClient({
    baseUrl: 'http://127.0.0.1:8080/',
    headers: { 'x-api-key': 'k' },
    fetch: async (url, init) => {
      sent.push({ url, init });
      return answer();
    },
  });
  return { client, sent };
}

const key = { kind: 'mcp', name: 'notes' };

async function problemOf(call: Promise<unknown>): Promise<ApiProblem> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ApiProblem);
  return error as ApiProblem;
}

describe('client', () => {
  it('sends method, path, query and headers as the table says', async () => {
    const { client, sent } = clientAnswering(() => Response.json({ events: [], next_before: null }));
    const page = await client.listConnectionEvents({
      params: key,
      query: { limit: 5, type: ['connect_started', 'refresh_succeeded'], before: undefined },
    });
    expectTypeOf(page).toEqualTypeOf<AuthEventList>();
    expect(page).toEqual({ events: [], next_before: null });
    expect(sent[0]?.url).toBe(
      'http://127.0.0.1:8080/api/v1/admin/connections/mcp/notes/auth-events?limit=5&type=connect_started&type=refresh_succeeded',
    );
    expect(sent[0]?.init.method).toBe('GET');
    expect(sent[0]?.init.headers).toMatchObject({ 'x-api-key': 'k' });
  });

  it('sends an empty object where the body may be left out', async () => {
    const { client, sent } = clientAnswering(() =>
      Response.json({ authorization_url: 'x', state: 's', redirect_uri: 'r', expires_at: 'e' }),
    );
    await client.startConsent({ params: key });
    expect(sent[0]?.init.body).toBe('{}');
  });

  it('is typed from the table', () => {
    const { client } = clientAnswering(() => Response.json({}));
    expectTypeOf(client.getConnection).returns.resolves.toEqualTypeOf<Connection>();
    expectTypeOf(client.deleteConnection).returns.resolves.toEqualTypeOf<undefined>();
    expectTypeOf(client.putConnection).parameter(0).toHaveProperty('body');
    expectTypeOf(client.listConnections).toBeCallableWith();
    // @ts-expect-error a connection must be named
    const unnamed = () => client.getConnection();
    // @ts-expect-error pages are for browsers
    const page = client.finishConsent;
    expect([unnamed, page]).toHaveLength(2);
  });

  it('refuses a bad name before anything is sent', async () => {
    const { client, sent } = clientAnswering(() => Response.json({}));
    const problem = await problemOf(client.getConnection({ params: { kind: 'mcp', name: '../../system' } }));
    expect(problem).toMatchObject({ code: 'invalid_request', issues: [{ path: 'name' }] });
    expect(sent).toEqual([]);
  });

  it('turns a problem document into an ApiProblem with its issues', async () => {
    const document: Problem = {
      type: 'urn:x',
      title: 'T',
      status: 422,
      detail: 'endpoint must be a URL.',
      code: 'invalid_config',
      issues: [{ path: 'config.endpoint', message: 'must be a URL' }],
    };
    const { client } = clientAnswering(() => Response.json(document, { status: 422, headers: { 'retry-after': '7' } }));
    const problem = await problemOf(client.putConnection({ params: key, body: { config: {} } }));
    expect(problem).toMatchObject({
      status: 422,
      code: 'invalid_config',
      message: 'endpoint must be a URL.',
      issues: document.issues,
      retry_after: 7,
    });
  });

  it('never shows a blank or foreign failure: a proxy page, an empty answer, HTML with 200 (lesson 23)', async () => {
    const answers = [
      new Response('<h1>Bad gateway</h1>', { status: 502 }),
      new Response('', { status: 500 }),
      new Response('<html>captive portal</html>', { status: 200 }),
      new Response(null, { status: 204 }),
    ];
    for (const answer of answers) {
      const { client } = clientAnswering(() => answer);
      const problem = await problemOf(client.getSystem());
      expect(problem).toMatchObject({ code: 'unreadable', status: answer.status });
      expect(problem.message).toContain(`HTTP ${answer.status}`);
    }
  });

  it('tells no answer from an abort by the caller', async () => {
    const { client } = clientAnswering(() => Promise.reject(new TypeError('fetch failed')));
    expect(await problemOf(client.getSystem())).toMatchObject({ code: 'network', status: 0 });
    const aborted = AbortSignal.abort();
    await expect(client.getSystem({ signal: aborted })).rejects.toBeInstanceOf(TypeError);
  });

  it('answers undefined where there is no content', async () => {
    const { client } = clientAnswering(() => new Response(null, { status: 204 }));
    await expect(client.deleteConnection({ params: key })).resolves.toBeUndefined();
  });
});
