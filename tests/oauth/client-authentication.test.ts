import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/redact.ts';
import { retryAfterSeconds } from '../../src/oauth/token-endpoint.ts';
import type { Received } from './servers.ts';
import { bindingTo, startClient, startServer } from './servers.ts';

const ID = 'my client:1';
const SECRET = '+8r/=:% ü&~';
const formDecode = (text: string) => new URLSearchParams(`v=${text}`).get('v') ?? '';

/** What a strict server of each taste makes of a request. */
const TASTES = {
  client_secret_basic: ({ headers }: Received) => {
    const [id = '', ...secret] = Buffer.from(headers.authorization?.slice(6) ?? '', 'base64')
      .toString()
      .split(':');
    return [formDecode(id), secret.length === 1 ? formDecode(secret[0] ?? '') : 'colon'];
  },
  client_secret_basic_raw: ({ headers }: Received) => {
    const text = Buffer.from(headers.authorization?.slice(6) ?? '', 'base64').toString();
    return text === `${ID}:${SECRET}` ? [ID, SECRET] : [text];
  },
  client_secret_post: ({ headers, body }: Received) => {
    const form = new URLSearchParams(body);
    return headers.authorization ? ['both'] : [form.get('client_id'), form.get('client_secret')];
  },
} as const;

describe('client authentication (lesson 15)', () => {
  let idp: Awaited<ReturnType<typeof startServer>>;
  let client: ReturnType<typeof startClient>;
  beforeAll(async () => {
    idp = await startServer(() => ({ json: { access_token: 'at' } }));
    client = startClient();
  });
  afterAll(async () => {
    await client.close();
    await idp.close();
  });

  const methods = Object.keys(TASTES) as (keyof typeof TASTES)[];
  it.each(methods)('%s carries any secret through every grant', async (method) => {
    const { server } = client;
    const as = {
      binding: bindingTo(idp.origin, { client_id: ID, token_endpoint_auth_method: method }),
      client_secret: new Secret(SECRET),
    };
    const origin_of_trust = idp.origin;
    idp.received.length = 0;
    await server.exchangeCode(as, {
      code: 'c',
      redirect_uri: 'http://x/cb',
      code_verifier: new Secret('v'),
      listen_ms: 30_000,
      origin_of_trust,
    });
    await server.refresh(as, { refresh_token: new Secret('+r/='), listen_ms: 30_000, origin_of_trust });
    expect(
      await server.revoke(as, { token: new Secret('t'), token_type_hint: 'refresh_token', origin_of_trust }),
    ).toEqual({ type: 'revoked' });
    expect(idp.received.map(TASTES[method])).toEqual([
      [ID, SECRET],
      [ID, SECRET],
      [ID, SECRET],
    ]);
    expect(new URLSearchParams(idp.received[1]?.body).get('refresh_token')).toBe('+r/=');
  });

  it('of a public client is its id, with the resource of the consent and no scope', async () => {
    idp.received.length = 0;
    const binding = bindingTo(idp.origin, { resource: 'https://mcp.example/mcp', scope: 'a b' });
    await client.server.refresh(
      { binding, client_secret: null },
      { refresh_token: new Secret('r'), listen_ms: 30_000, origin_of_trust: idp.origin },
    );
    expect(Object.fromEntries(new URLSearchParams(idp.received[0]?.body))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'r',
      resource: 'https://mcp.example/mcp',
      client_id: 'client',
    });
  });

  it('makes the S256 challenge of RFC 7636 appendix B', async () => {
    expect(await client.server.codeChallenge('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe(
      'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    );
  });
});

describe('Retry-After', () => {
  const now = Date.parse('Mon, 23 Nov 2026 20:00:00 GMT');
  it.each([
    ['120', 120],
    [' 0 ', 0],
    ['9'.repeat(400), 604_800],
    ['Mon, 23 Nov 2026 20:00:30 GMT', 30],
    ['Monday, 23-Nov-26 20:00:30 GMT', 30],
    ['Mon Nov 23 20:00:30 2026', 30],
    ['Mon, 23 Nov 2026 19:00:00 GMT', 0],
    ['Tue, 23 Nov 9999 19:00:00 GMT', 604_800],
    ['Mon, 99 Foo 2026 20:00:30 GMT', null],
    ['soon', null],
    // What `Date.parse` takes for dates of the year 2001.
    ['soon 5', null],
    ['-5', null],
    ['1.5', null],
    ['120, 120', null],
    ['', null],
    [null, null],
  ])('%s is %s seconds', (header, seconds) => {
    expect(retryAfterSeconds(header, now)).toBe(seconds);
  });
});
