import { describe, expect, it } from 'vitest';
import { ENDPOINTS, type Endpoint, problemsOf } from '../../src/contract/endpoints.ts';
import { ERROR_TABLE, problemSchema } from '../../src/contract/schemas.ts';
import { ADMIN_KEY, AGENT_KEY, type FakeApp, fakeApp, SAME_ORIGIN } from './fake-app.ts';

type Caller = 'nobody' | 'garbage key' | 'garbage bearer' | 'garbage cookie' | 'agent key' | 'admin key' | 'session';

const CALLERS: Record<Caller, (app: FakeApp) => Promise<Record<string, string>>> = {
  nobody: async () => ({}),
  'garbage key': async () => ({ 'x-api-key': `${ADMIN_KEY}x` }),
  'garbage bearer': async () => ({ authorization: 'Basic b3BzOm9wcw==' }),
  'garbage cookie': async () => ({ cookie: `mdp_session_8080=${'g'.repeat(43)}`, ...SAME_ORIGIN }),
  'agent key': async () => ({ authorization: `Bearer ${AGENT_KEY}` }),
  'admin key': async () => ({ 'x-api-key': ADMIN_KEY }),
  session: async (app) => ({ cookie: await app.signedIn(), ...SAME_ORIGIN }),
};

function mayEnter(endpoint: Endpoint, caller: Caller): 401 | 403 | 'yes' {
  if (endpoint.role === 'public' || caller === 'admin key' || caller === 'session') return 'yes';
  if (caller === 'agent key') return endpoint.role === 'agent' ? 'yes' : 403;
  return 401;
}

function requestFor(endpoint: Endpoint, headers: Record<string, string>): [string, RequestInit] {
  const path = endpoint.path.replace('{kind}', 'mcp').replace('{name}', 'notes');
  if (!endpoint.body) return [path, { method: endpoint.method, headers }];
  const body = JSON.stringify(endpoint.method === 'PUT' ? { config: { endpoint: 'https://x.example' } } : {});
  return [path, { method: endpoint.method, headers: { 'content-type': 'application/json', ...headers }, body }];
}

const rows = Object.entries(ENDPOINTS).map(([id, endpoint]) => ({ id, endpoint: endpoint as Endpoint }));
const cases = rows.flatMap(({ id, endpoint }) =>
  (Object.keys(CALLERS) as Caller[]).map((caller) => ({
    id,
    endpoint,
    caller,
    expected: mayEnter(endpoint, caller),
    title: `${endpoint.method} ${endpoint.path} by ${caller}`,
  })),
);

describe('who may call what', () => {
  it.each(cases)('$title: $expected', async ({ endpoint, caller, expected }) => {
    const app = fakeApp();
    const answer = await app.send(...requestFor(endpoint, await CALLERS[caller](app)));
    if (expected === 'yes') {
      const told = endpoint.responses[answer.status];
      expect(told, `status ${answer.status} is not in the table`).toBeDefined();
      if (told?.content === 'json') {
        expect(answer.headers.get('content-type')).toContain('application/json');
        expect(told.schema.safeParse(await answer.json()).error).toBeUndefined();
      }
      if (told?.content === 'none') expect(await answer.text()).toBe('');
      return;
    }
    expect(answer.status).toBe(expected);
    expect(app.calls).toEqual([]);
    const problem = problemSchema.parse(await answer.json());
    expect(problem.code).toBe(expected === 401 ? 'unauthenticated' : 'forbidden');
    expect(answer.headers.get('www-authenticate')?.startsWith('Bearer ')).toBe(expected === 401 || undefined);
  });

  it('says invalid_token only where a credential was given', async () => {
    const challenge = async (headers: Record<string, string>) =>
      (await fakeApp().send('/api/v1/admin/system', { headers })).headers.get('www-authenticate');
    expect(await challenge({})).toBe('Bearer realm="mcp-data-platform"');
    expect(await challenge({ 'x-api-key': 'wrong' })).toBe('Bearer realm="mcp-data-platform", error="invalid_token"');
    expect(await challenge({ authorization: 'Bearer' })).toContain('error="invalid_token"');
  });

  it('prefers the session, and takes a key where the session is over', async () => {
    const app = fakeApp();
    const cookie = await app.signedIn('ada@example.com');
    const both = { headers: { cookie, 'x-api-key': ADMIN_KEY } };
    expect(await (await app.send('/api/v1/admin/session', both)).json()).toEqual({
      actor: 'ada@example.com',
      role: 'admin',
      expires_at: '2026-11-23T13:00:00.000Z',
    });
    app.time.now += 3_600_000;
    expect(await (await app.send('/api/v1/admin/session', both)).json()).toEqual({
      actor: 'apikey:ops',
      role: 'admin',
      expires_at: null,
    });
  });

  it('ends the sessions that a removed key had opened', async () => {
    const app = fakeApp();
    const kept = await app.signedIn('apikey:ops');
    const removed = await app.signedIn('apikey:former');
    const demoted = await app.signedIn('apikey:bot');
    const status = async (cookie: string) => (await app.send('/api/v1/admin/system', { headers: { cookie } })).status;
    expect([await status(kept), await status(removed), await status(demoted)]).toEqual([200, 401, 401]);
  });

  it('lets only problems happen that the table names', () => {
    for (const { endpoint } of rows) {
      const codes = problemsOf(endpoint);
      expect(new Set(codes).size).toBe(codes.length);
      for (const code of codes) expect(ERROR_TABLE).toHaveProperty(code);
    }
  });
});

describe('the mounted MCP face', () => {
  const post = (headers: Record<string, string>): RequestInit => ({ method: 'POST', body: '{}', headers });

  it.each(['agent key', 'admin key'] as const)('opens to an %s', async (caller) => {
    const app = fakeApp();
    const answer = await app.send('/mcp', post(await CALLERS[caller](app)));
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ actor: caller === 'agent key' ? 'apikey:bot' : 'apikey:ops', body: '{}' });
  });

  it.each(['nobody', 'garbage key', 'garbage bearer', 'garbage cookie', 'session'] as const)(
    'stays shut to %s, with a challenge',
    async (caller) => {
      const app = fakeApp();
      const answer = await app.send('/mcp', post(await CALLERS[caller](app)));
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
      expect(app.reached('mcp')).toEqual([]);
    },
  );
});
