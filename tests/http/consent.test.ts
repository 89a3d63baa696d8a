import { describe, expect, it } from 'vitest';
import { consentStartedSchema } from '../../src/contract/schemas.ts';
import type { CallbackResult } from '../../src/flows/api.ts';
import {
  asAdmin,
  type FakeApp,
  fakeApp,
  form,
  json,
  PROVIDER_PAGE,
  PUBLIC_URL,
  SAME_ORIGIN,
  STATE,
} from './fake-app.ts';

const START = '/api/v1/admin/connections/mcp/notes/oauth-start';
const CALLBACK = '/api/v1/admin/oauth/callback';

const cookieOf = (answer: Response) => answer.headers.get('set-cookie')?.split(';')[0] ?? '';

type Failure = Extract<CallbackResult, { ok: false }>;
const failure = (changes: Partial<Failure> = {}): Failure => ({
  ok: false,
  key: { kind: 'mcp', name: 'notes' },
  code: 'access_denied',
  title: 'mcp/notes was not connected',
  message: 'The consent was declined at the identity provider. Nothing was changed.',
  return_url: '/connections/mcp/notes',
  ...changes,
});

async function begin(app: FakeApp, headers: Record<string, string>, host = PUBLIC_URL): Promise<[Response, string]> {
  const answer = await app.send(`${host}${START}`, json('POST', { return_url: '/connections/mcp/notes' }, headers));
  expect(answer.status).toBe(200);
  return [answer, consentStartedSchema.parse(await answer.json()).authorization_url];
}

describe('starting a consent', () => {
  it('by a session binds the browser at once and names the page of the provider', async () => {
    const app = fakeApp();
    const [answer, url] = await begin(app, { cookie: await app.signedIn(), ...SAME_ORIGIN });
    expect(url).toBe(PROVIDER_PAGE);
    expect(answer.headers.get('set-cookie')).toMatch(
      /^mdp_browser_8080=[\w-]{43}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/,
    );
    expect(app.script.bound.get(STATE)).toBe(cookieOf(answer).split('=')[1]);
    expect(app.reached('start')[0]).toMatchObject({
      input: { actor: 'ada@example.com', return_url: '/connections/mcp/notes' },
    });
  });

  it('keeps the cookie of a browser that has another consent open', async () => {
    const app = fakeApp();
    const cookie = await app.signedIn();
    const [first] = await begin(app, { cookie, ...SAME_ORIGIN });
    const [second] = await begin(app, { cookie: `${cookie}; ${cookieOf(first)}`, ...SAME_ORIGIN });
    expect(cookieOf(second)).toBe(cookieOf(first));
  });

  it('does not take a cookie that it did not make', async () => {
    const app = fakeApp();
    const cookie = await app.signedIn();
    const [answer] = await begin(app, { cookie: `${cookie}; mdp_browser_8080=chosen`, ...SAME_ORIGIN });
    expect(cookieOf(answer)).toMatch(/=[\w-]{43}$/);
  });

  it('by a key has no browser: it names a page of ours and binds nothing', async () => {
    const app = fakeApp();
    const [answer, url] = await begin(app, asAdmin);
    expect(url).toBe(`${PUBLIC_URL}/connect/${STATE}`);
    expect(answer.headers.get('set-cookie')).toBeNull();
    expect(app.reached('bind')).toEqual([]);
  });

  it('by a session under another name of the host goes by way of the host of the callback', async () => {
    const app = fakeApp();
    const origin = 'http://localhost:8080';
    const headers = { cookie: await app.signedIn(), origin, 'sec-fetch-site': 'same-origin' };
    const [, url] = await begin(app, headers, origin);
    expect(url).toBe(`${PUBLIC_URL}/connect/${STATE}`);
    expect(app.reached('bind')).toEqual([]);
  });
});

describe('the page /connect', () => {
  it('binds nobody who only fetches it, such as the preview of a chat', async () => {
    const app = fakeApp();
    const answer = await app.send(`/connect/${STATE}`);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('set-cookie')).toBeNull();
    expect(app.reached('bind')).toEqual([]);
  });

  it('may lead to the provider after its form', async () => {
    const policy = (await fakeApp().send(`/connect/${STATE}`)).headers.get('content-security-policy');
    expect(policy).not.toContain('form-action');
  });

  it('binds the first browser that goes on, and no second one (lesson 43)', async () => {
    const app = fakeApp();
    const first = await app.send(`/connect/${STATE}`, form({ decision: 'allow' }, SAME_ORIGIN));
    expect([first.status, first.headers.get('location')]).toEqual([303, PROVIDER_PAGE]);
    expect(app.script.bound.get(STATE)).toBe(cookieOf(first).split('=')[1]);
    const second = await app.send(`/connect/${STATE}`, form({ decision: 'allow' }, SAME_ORIGIN));
    expect(second.status).toBe(400);
    expect(await second.text()).toContain('no longer valid');
    const again = await app.send(`/connect/${STATE}`, form({}, { cookie: cookieOf(first), ...SAME_ORIGIN }));
    expect(again.headers.get('location')).toBe(PROVIDER_PAGE);
  });

  it('cannot be sent by another site', async () => {
    const app = fakeApp();
    const answer = await app.send(`/connect/${STATE}`, form({}, { origin: 'https://evil.example' }));
    expect(answer.status).toBe(403);
    expect(app.reached('bind')).toEqual([]);
  });

  it.each(['short', '%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E', 'x'.repeat(200)])(
    'shows no state that is none: %s',
    async (state) => {
      const app = fakeApp();
      for (const init of [{}, form({})]) {
        const answer = await app.send(`/connect/${state}`, init);
        expect(answer.status).toBe(400);
        expect(await answer.text()).not.toContain('<script>alert');
      }
      expect(app.reached('bind')).toEqual([]);
    },
  );
});

describe('the callback', () => {
  it('hands over the parameters and the cookie of the browser, and returns to the page', async () => {
    const app = fakeApp();
    const binding = 'b'.repeat(43);
    const query = '?code=c1&state=s1&iss=https%3A%2F%2Fidp.example&session_state=extra';
    const answer = await app.send(CALLBACK + query, { headers: { cookie: `mdp_browser_8080=${binding}` } });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/connections/mcp/notes?connected=1']);
    expect(app.reached('callback')).toEqual([{ params: query.slice(1), binding }]);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  it('says that there is no cookie', async () => {
    const app = fakeApp();
    await app.send(`${CALLBACK}?code=c&state=s`);
    expect(app.reached('callback')).toMatchObject([{ binding: null }]);
  });

  it.each([
    ['/list?page=2#top', '/list?page=2&connected=1#top'],
    ['https://evil.example/', '/?connected=1'],
    ['//evil.example', '/?connected=1'],
    ['/\\evil.example', '/?connected=1'],
  ])('returns from %s to %s', async (return_url, location) => {
    const app = fakeApp();
    app.script.callback = { ok: true, key: { kind: 'mcp', name: 'notes' }, return_url };
    expect((await app.send(`${CALLBACK}?state=s`)).headers.get('location')).toBe(location);
  });

  it.each([
    ['access_denied', 400],
    ['state_unknown', 400],
    ['wrong_issuer', 400],
    ['invalid_client', 502],
    ['timeout', 504],
    ['reset', 502],
    ['internal', 500],
    ['database_unavailable', 503],
    ['toString', 502],
  ])('tells of %s on a page with status %i', async (code, status) => {
    const app = fakeApp();
    app.script.callback = failure({ code });
    const answer = await app.send(`${CALLBACK}?state=s&error=${code}`);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const page = await answer.text();
    expect(page).toContain('<h1>mcp/notes was not connected</h1>');
    expect(page).toContain('Nothing was changed.');
    expect(page).toContain('href="/connections/mcp/notes"');
  });

  it('leads to the list where nothing is known of the connection', async () => {
    const app = fakeApp();
    app.script.callback = failure({ key: null, return_url: null, code: 'state_unknown' });
    expect(await (await app.send(`${CALLBACK}?state=zzz`)).text()).toContain('<a href="/">To the connections</a>');
  });

  it('shows nothing that came with the browser, and escapes what it shows', async () => {
    const app = fakeApp();
    const attack = '<script>alert(1)</script>';
    app.script.callback = failure({
      message: `m ${attack}`,
      title: `t ${attack}`,
      code: attack,
      return_url: `/x"${attack}`,
    });
    const query = new URLSearchParams({
      state: attack,
      error: attack,
      error_description: 'Call +1 555 0100 now',
      error_uri: attack,
    });
    const page = await (await app.send(`${CALLBACK}?${query}`)).text();
    expect(page).not.toContain(attack);
    expect(page).not.toContain('555');
    expect(page).toContain('&lt;script&gt;');
    expect(page).toContain('<code>unrecognised</code>');
  });

  it('never leads to a script', async () => {
    const app = fakeApp();
    app.script.callback = failure({ return_url: 'javascript:alert(1)' });
    expect(await (await app.send(CALLBACK)).text()).not.toContain('javascript:');
  });

  it('needs neither session nor key, and comes from the site of the provider', async () => {
    const app = fakeApp();
    const headers = { origin: 'https://idp.example', 'sec-fetch-site': 'cross-site' };
    expect((await app.send(`${CALLBACK}?state=s`, { headers })).status).toBe(303);
  });
});
