import { describe, expect, it } from 'vitest';
import { asAdmin, fakeApp, json } from './fake-app.ts';

const SYSTEM = '/api/v1/admin/system';
const INSTANCE = '/api/v1/admin/connection-instances/mcp/notes';

describe('the Host header', () => {
  const allowedHosts = ['mcp.internal', 'other.internal:9000'];

  it.each([
    '127.0.0.1:8080',
    'localhost:8080',
    'LOCALHOST',
    '[::1]:8080',
    'mcp.internal',
    'mcp.internal:1',
    'other.internal:9000',
  ])('may be %s', async (host) => {
    const app = fakeApp({ allowedHosts });
    expect((await app.send(SYSTEM, { headers: { ...asAdmin, host } })).status).toBe(200);
  });

  it.each([
    'evil.example',
    'other.internal',
    '127.0.0.1.evil.example',
    'localhost@evil.example',
    '127.0.0.2',
    '10.0.0.1:8080',
    'mcp.internal.evil.example',
  ])('may not be %s: DNS rebinding', async (host) => {
    const app = fakeApp({ allowedHosts });
    for (const path of [SYSTEM, '/mcp', '/', '/sign-in', '/api/v1/admin/oauth/callback']) {
      const answer = await app.send(path, { headers: { ...asAdmin, host } });
      expect([path, answer.status]).toEqual([path, 403]);
    }
    expect(app.calls).toEqual([]);
  });

  it('does not matter to a health probe', async () => {
    const app = fakeApp();
    expect((await app.send('/healthz', { headers: { host: '10.0.0.7:8080' } })).status).toBe(200);
    expect((await app.send('/readyz', { headers: { host: '10.0.0.7:8080' } })).status).toBe(200);
  });

  it('never shapes an address, and neither does X-Forwarded-Host (lesson 44)', async () => {
    const app = fakeApp({ allowedHosts });
    const headers = {
      ...asAdmin,
      host: 'mcp.internal',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
    };
    const answer = await app.send('/api/v1/admin/connections/mcp/notes/oauth-start', json('POST', {}, headers));
    expect(await answer.text()).not.toMatch(/evil\.example|mcp\.internal/);
  });

  it('is refused in the settings when it is no host', () => {
    expect(() => fakeApp({ allowedHosts: ['https://x.example/'] })).toThrow(/allowed_hosts/);
  });
});

describe('the Origin header', () => {
  const foreign = [
    'https://evil.example',
    'null',
    'http://127.0.0.1.evil.example:8080',
    'file://',
    'chrome-extension://abc',
  ];

  it.each(foreign)('%s is refused by the API and the MCP face, whatever the key', async (origin) => {
    const app = fakeApp();
    for (const path of [SYSTEM, '/mcp']) {
      const answer = await app.send(path, { headers: { ...asAdmin, origin } });
      expect(answer.status).toBe(403);
    }
    expect(app.calls).toEqual([]);
  });

  it('may be our own, under any of our names', async () => {
    const app = fakeApp();
    for (const origin of ['http://127.0.0.1:8080', 'http://localhost:6274']) {
      expect((await app.send('/mcp', { method: 'POST', headers: { ...asAdmin, origin } })).status).toBe(200);
    }
  });

  it('is never reflected: no answer allows another site to read (lesson 47)', async () => {
    const app = fakeApp();
    for (const [method, path] of [
      ['GET', SYSTEM],
      ['OPTIONS', SYSTEM],
      ['OPTIONS', '/mcp'],
      ['GET', '/'],
    ] as const) {
      for (const origin of ['https://evil.example', 'http://127.0.0.1:8080']) {
        const headers = { ...asAdmin, origin, 'access-control-request-method': 'PUT' };
        const answer = await app.send(path, { method, headers });
        expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
      }
    }
  });
});

describe('a change by a browser session', () => {
  const put = (headers: Record<string, string>) => json('PUT', { config: {}, description: '' }, headers);

  const refused: Record<string, string>[] = [
    {},
    { origin: 'https://evil.example' },
    { origin: 'null' },
    // A cookie knows no port: another program on loopback is the same site, but not the same origin.
    { origin: 'http://127.0.0.1:3000' },
    { origin: 'http://localhost:8080' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'same-origin', origin: 'https://evil.example' },
    { 'sec-fetch-site': 'cross-site', origin: 'http://127.0.0.1:8080' },
  ];

  it.each(refused)('is refused with %o', async (headers) => {
    const app = fakeApp();
    const cookie = await app.signedIn();
    for (const [path, init] of [
      [INSTANCE, put({ cookie, ...headers })],
      [INSTANCE, { method: 'DELETE', headers: { cookie, ...headers } }],
      ['/api/v1/admin/session/sign-out', { method: 'POST', headers: { cookie, ...headers } }],
    ] as const) {
      expect((await app.send(path, init)).status).toBe(403);
    }
    expect(app.calls).toEqual([]);
  });

  it.each([
    { origin: 'http://127.0.0.1:8080' },
    { 'sec-fetch-site': 'same-origin' },
    { origin: 'http://127.0.0.1:8080', 'sec-fetch-site': 'same-origin' },
  ] as Record<string, string>[])('passes with %o', async (headers) => {
    const app = fakeApp();
    expect((await app.send(INSTANCE, put({ cookie: await app.signedIn(), ...headers }))).status).toBe(200);
  });

  it('passes behind a proxy that ends TLS', async () => {
    const app = fakeApp({ publicUrl: 'https://mcp.example.com' });
    const token = (await app.signedIn()).split('=')[1];
    const headers = {
      cookie: `__Host-mdp_session=${token}`,
      origin: 'https://mcp.example.com',
      host: 'mcp.example.com',
    };
    expect((await app.send(INSTANCE, put(headers))).status).toBe(200);
  });

  it('does not count where a key speaks: programs send no origin', async () => {
    expect((await fakeApp().send(INSTANCE, put(asAdmin))).status).toBe(200);
  });

  it('is not made by reading', async () => {
    const app = fakeApp();
    expect((await app.send(SYSTEM, { headers: { cookie: await app.signedIn() } })).status).toBe(200);
  });
});
