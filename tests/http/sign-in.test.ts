import { describe, expect, it } from 'vitest';
import { problemSchema, sessionSchema } from '../../src/contract/schemas.ts';
import { createSignInLink } from '../../src/http/sessions.ts';
import { ADMIN_KEY, AGENT_KEY, type FakeApp, fakeApp, form, NOW, SAME_ORIGIN } from './fake-app.ts';

const DAY = 86_400_000;

async function linkOf(app: FakeApp, return_url?: string): Promise<{ path: string; token: string }> {
  const { url } = await createSignInLink(app.deps, { actor: 'ada@example.com', return_url });
  const token = new URL(url).searchParams.get('token') ?? '';
  return { path: url, token };
}

const sessionCookie = (answer: Response) => answer.headers.get('set-cookie')?.split(';')[0] ?? '';

async function whoIs(app: FakeApp, cookie: string): Promise<unknown> {
  const answer = await app.send('/api/v1/admin/session', { headers: { cookie } });
  return answer.status === 200 ? answer.json() : answer.status;
}

describe('the sign-in link', () => {
  it('is not spent by looking at it, however often', async () => {
    const app = fakeApp();
    const { path, token } = await linkOf(app);
    for (const method of ['GET', 'HEAD', 'GET']) {
      const answer = await app.send(path, { method });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('set-cookie')).toBeNull();
    }
    expect((await app.send('/sign-in', form({ token }))).status).toBe(303);
  });

  it('signs one browser in, once, and leads to where it was meant to', async () => {
    const app = fakeApp();
    const { path, token } = await linkOf(app, '/connections/mcp/notes?tab=history');
    const page = await (await app.send(path)).text();
    expect(page).toContain('value="/connections/mcp/notes?tab=history"');
    const fields = { token, return_to: '/connections/mcp/notes?tab=history' };
    const answer = await app.send('/sign-in', form(fields, SAME_ORIGIN));
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe('/connections/mcp/notes?tab=history');
    expect(await whoIs(app, sessionCookie(answer))).toEqual({
      actor: 'ada@example.com',
      role: 'admin',
      expires_at: new Date(NOW + 7 * DAY).toISOString(),
    });
    const again = await app.send('/sign-in', form({ token }, SAME_ORIGIN));
    expect(again.status).toBe(401);
    expect(again.headers.get('set-cookie')).toBeNull();
    expect(await again.text()).toContain('mcp-data-platform link');
  });

  it('is over after fifteen minutes', async () => {
    const app = fakeApp();
    const { token } = await linkOf(app);
    app.time.now += 15 * 60_000;
    expect((await app.send('/sign-in', form({ token }))).status).toBe(401);
  });

  it('only leads on when a browser that is signed in reloads it', async () => {
    const app = fakeApp();
    const { token } = await linkOf(app);
    const cookie = sessionCookie(await app.send('/sign-in', form({ token })));
    const again = await app.send('/sign-in', form({ token, return_to: '/x' }, { cookie, ...SAME_ORIGIN }));
    expect([again.status, again.headers.get('location')]).toEqual([303, '/x']);
  });

  it('is stored as a hash alone, like the session', async () => {
    const app = fakeApp();
    const { token } = await linkOf(app);
    expect([...app.access.rows.keys()].join()).not.toContain(token);
    const cookie = sessionCookie(await app.send('/sign-in', form({ token })));
    expect([...app.access.rows.keys()].join()).not.toContain(cookie.split('=')[1]);
  });
});

describe('the session', () => {
  it('lives seven days, used or not', async () => {
    const app = fakeApp();
    const { token } = await linkOf(app);
    const cookie = sessionCookie(await app.send('/sign-in', form({ token })));
    app.time.now = NOW + 7 * DAY - 1;
    expect(await whoIs(app, cookie)).toMatchObject({ actor: 'ada@example.com' });
    app.time.now = NOW + 7 * DAY;
    expect(await whoIs(app, cookie)).toBe(401);
  });

  it('is a cookie for this port, out of reach of scripts and of other sites', async () => {
    const app = fakeApp();
    const { token } = await linkOf(app);
    const cookie = (await app.send('/sign-in', form({ token }))).headers.get('set-cookie');
    expect(cookie).toMatch(/^mdp_session_8080=[\w-]{43}; Path=\/; Max-Age=604800; HttpOnly; SameSite=Lax$/);
  });

  it('is Secure and bound to the host under https', async () => {
    const app = fakeApp({ publicUrl: 'https://mcp.example.com' });
    const answer = await app.send('https://mcp.example.com/sign-in', form({ key: ADMIN_KEY }));
    expect(answer.headers.get('set-cookie')).toMatch(
      /^__Host-mdp_session=.*; Path=\/; .*HttpOnly; SameSite=Lax; Secure$/,
    );
    expect(answer.headers.get('strict-transport-security')).toContain('max-age');
  });

  it('is new at each sign-in, and the old one ends', async () => {
    const app = fakeApp();
    const first = sessionCookie(await app.send('/sign-in', form({ key: ADMIN_KEY })));
    const second = sessionCookie(
      await app.send('/sign-in', form({ key: ADMIN_KEY }, { cookie: first, ...SAME_ORIGIN })),
    );
    expect(second).not.toBe(first);
    expect([await whoIs(app, first), await whoIs(app, second)]).toMatchObject([401, { actor: 'apikey:ops' }]);
  });

  it('ends at sign-out, on the server too', async () => {
    const app = fakeApp();
    const cookie = sessionCookie(await app.send('/sign-in', form({ key: ADMIN_KEY })));
    const answer = await app.send('/api/v1/admin/session/sign-out', {
      method: 'POST',
      headers: { cookie, ...SAME_ORIGIN },
    });
    expect(answer.status).toBe(204);
    expect(answer.headers.get('set-cookie')).toMatch(/^mdp_session_8080=; .*Max-Age=0/);
    expect(await whoIs(app, cookie)).toBe(401);
  });
});

describe('signing in with a key', () => {
  it('wants an admin key: 401 for none or a wrong one, 403 for an agent key', async () => {
    const app = fakeApp();
    const status = async (key: string) => (await app.send('/sign-in', form({ key }))).status;
    expect([await status(ADMIN_KEY), await status(AGENT_KEY), await status('wrong'), await status('')]).toEqual([
      303, 403, 401, 401,
    ]);
    const nothing = await app.send('/sign-in', form({}));
    expect(nothing.status).toBe(401);
    expect(nothing.headers.get('www-authenticate')).toMatch(/^Bearer/);
  });

  it('answers a program or the portal with JSON', async () => {
    const app = fakeApp();
    const accept = { accept: 'application/json' };
    const good = await app.send('/sign-in', form({ key: ADMIN_KEY }, accept));
    expect(sessionSchema.parse(await good.json())).toMatchObject({ actor: 'apikey:ops' });
    expect(sessionCookie(good)).toMatch(/^mdp_session_8080=/);
    const bad = await app.send('/sign-in', form({ key: 'wrong' }, accept));
    expect(problemSchema.parse(await bad.json())).toMatchObject({ status: 401, code: 'unauthenticated' });
    const agent = await app.send('/sign-in', form({ key: AGENT_KEY }, accept));
    expect(problemSchema.parse(await agent.json())).toMatchObject({ status: 403, code: 'forbidden' });
  });

  it('never shows the key or a token again', async () => {
    const app = fakeApp();
    const page = await (await app.send('/sign-in', form({ key: 'wrong-key-typed' }))).text();
    expect(page).not.toContain('wrong-key-typed');
  });

  it('refuses a form of unreasonable size', async () => {
    expect((await fakeApp().send('/sign-in', form({ key: 'x'.repeat(20_000) }))).status).toBe(413);
  });

  it.each([
    { origin: 'https://evil.example' },
    { origin: 'http://127.0.0.1:9999' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:8080' },
  ])('refuses to be signed in by another site: %o', async (headers) => {
    const answer = await fakeApp().send('/sign-in', form({ key: ADMIN_KEY }, headers as Record<string, string>));
    expect(answer.status).toBe(403);
    expect(answer.headers.get('set-cookie')).toBeNull();
  });
});

describe('the return path', () => {
  const elsewhere = [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\t/evil.example',
    '/x/..//evil.example',
    '/%0d%0aSet-Cookie:x',
    'javascript:alert(1)',
    'connections',
    `/${'x'.repeat(3_000)}`,
    '',
  ];

  it.each(elsewhere)('is never another site: %s', async (return_to) => {
    const app = fakeApp();
    const answer = await app.send('/sign-in', form({ key: ADMIN_KEY, return_to }));
    const location = answer.headers.get('location') ?? '';
    expect(new URL(location, 'http://127.0.0.1:8080').origin).toBe('http://127.0.0.1:8080');
    expect(location).not.toMatch(/^\/\/|[\r\n]/);
  });

  it('is shown escaped', async () => {
    const token = 't'.repeat(43);
    const attack = '/"><script>alert(1)</script>';
    const page = await (await fakeApp().send(`/sign-in?token=${token}&return_to=${encodeURIComponent(attack)}`)).text();
    expect(page).not.toContain('<script>alert');
    expect(page).not.toContain('"><');
  });

  it('takes no token that is not one of ours into the page', async () => {
    const page = await (await fakeApp().send('/sign-in?token=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E')).text();
    expect(page).not.toContain('onerror');
  });
});

describe('the pages', () => {
  it('run no script but their own, are not cached and not framed', async () => {
    const answer = await fakeApp().send(`/sign-in?token=${'t'.repeat(43)}`);
    const policy = answer.headers.get('content-security-policy') ?? '';
    const page = await answer.text();
    const nonce = /<script nonce="([^"]+)">/.exec(page)?.[1];
    expect(policy).toContain(`script-src 'nonce-${nonce}'`);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('have a nonce of their own each time', async () => {
    const app = fakeApp();
    const policies = [await app.send('/sign-in'), await app.send('/sign-in')].map((answer) =>
      answer.headers.get('content-security-policy'),
    );
    expect(policies[0]).not.toBe(policies[1]);
  });

  it('let the origin of their forms be seen, or no form would pass the check', async () => {
    expect((await fakeApp().send('/sign-in')).headers.get('referrer-policy')).toBe('same-origin');
  });
});
