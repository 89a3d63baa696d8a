import type { OutgoingHttpHeaders } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../src/clock.ts';
import type { Clock } from '../../src/core/ports.ts';
import { EgressError } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import type { TokenAnswer } from '../../src/core/token-response.ts';
import { readTokenReply } from '../../src/core/token-response.ts';
import { tokenRequest } from '../../src/oauth/token-endpoint.ts';
import { bindingTo, startClient, startServer } from './servers.ts';

const JSON_TYPE = 'application/json';
const ok = { access_token: 'at', token_type: 'Bearer', expires_in: 3600, refresh_token: 'rt2' };
const whole = JSON.stringify(ok);
/** 100 MB in 100 kB. */
const bomb = gzipSync(Buffer.alloc(100_000_000, 'x'));

type Case = [status: number, type: string | undefined, body: unknown, headers?: OutgoingHttpHeaders];

/** Answers that are tokens, and the lifetime in seconds that they disclose. */
const TOKENS: Record<string, [Case, lifetime: number | null, refresh?: string | null, type?: string]> = {
  plain: [[200, JSON_TYPE, ok], 3600],
  'json with a charset': [[200, `${JSON_TYPE}; charset=utf-8`, ok], 3600],
  'vendor json': [[200, 'application/vnd.api+json', ok], 3600],
  'json as text/html': [[200, 'text/html', ok], 3600],
  'json as text/plain': [[200, 'text/plain; charset=utf-8', ok], 3600],
  'json without a type': [[200, undefined, ok], 3600],
  'a form': [
    [200, 'application/x-www-form-urlencoded', 'access_token=at&token_type=bearer&refresh_token=rt2'],
    null,
    'rt2',
    'bearer',
  ],
  'a form without a type': [[200, undefined, 'access_token=at&refresh_token=rt2&expires_in=60'], 60],
  'no token_type': [[200, JSON_TYPE, { ...ok, token_type: undefined }], 3600],
  'a null token_type': [[200, JSON_TYPE, { ...ok, token_type: null }], 3600],
  'token_type bot': [[200, JSON_TYPE, { ...ok, token_type: 'bot' }], 3600, 'rt2', 'bot'],
  'token_type N_A': [[200, JSON_TYPE, { ...ok, token_type: 'N_A' }], 3600, 'rt2', 'N_A'],
  'no expires_in': [[200, JSON_TYPE, { ...ok, expires_in: undefined }], null],
  'expires_in as text': [[200, JSON_TYPE, { ...ok, expires_in: '3600' }], 3600],
  'expires_in 0': [[200, JSON_TYPE, { ...ok, expires_in: 0 }], null],
  'expires_in -1': [[200, JSON_TYPE, { ...ok, expires_in: -1 }], null],
  'expires_in 3599.5': [[200, JSON_TYPE, { ...ok, expires_in: 3599.5 }], 3599.5],
  'expires_in null': [[200, JSON_TYPE, { ...ok, expires_in: null }], null],
  'expires_in abc': [[200, JSON_TYPE, { ...ok, expires_in: 'abc' }], null],
  'an absurd expires_in': [[200, JSON_TYPE, { ...ok, expires_in: 1e300 }], null],
  'scope as a list': [[200, JSON_TYPE, { ...ok, scope: ['a', 'b'] }], 3600],
  'scope null': [[200, JSON_TYPE, { ...ok, scope: null }], 3600],
  'refresh_token null': [[200, JSON_TYPE, { ...ok, refresh_token: null }], 3600, null],
  'refresh_token empty': [[200, JSON_TYPE, { ...ok, refresh_token: '' }], 3600, null],
  'no refresh_token': [[200, JSON_TYPE, { ...ok, refresh_token: undefined }], 3600, null],
  'id_token garbage': [[200, JSON_TYPE, { ...ok, id_token: 'abc' }], 3600],
  'id_token null': [[200, JSON_TYPE, { ...ok, id_token: null }], 3600],
  'status 201': [[201, JSON_TYPE, ok], 3600],
  'Slack nested': [[200, JSON_TYPE, { ok: true, authed_user: { ...ok, token_type: 'user' } }], 3600, 'rt2', 'user'],
  'a status 500 around tokens': [[500, JSON_TYPE, ok], 3600],
  'a key given twice': [[200, JSON_TYPE, `{"access_token":"old",${whole.slice(1)}`], 3600],
  'a byte order mark': [[200, JSON_TYPE, `\uFEFF${whole}`], 3600],
};

const error = (code: string, status: number, retry_after: number | null = null) => ({
  type: 'error',
  error: code,
  status,
  retry_after,
});
const perhaps = (error_class: string, status: number | null) => ({
  type: 'perhaps_processed',
  error_class,
  status,
  retry_after: null,
});

const OTHERS: Record<string, [Case, unknown]> = {
  'GitHub error in 200': [
    [200, JSON_TYPE, { error: 'bad_refresh_token', error_description: 'secret' }],
    error('bad_refresh_token', 200),
  ],
  'Slack error in 200': [
    [200, JSON_TYPE, { ok: false, error: 'invalid_refresh_token' }],
    error('invalid_refresh_token', 200),
  ],
  'an empty access_token': [[200, JSON_TYPE, { ...ok, access_token: '' }], perhaps('unreadable', 200)],
  'an access_token object': [[200, JSON_TYPE, { ...ok, access_token: { v: 1 } }], perhaps('unreadable', 200)],
  'an empty 200': [[200, JSON_TYPE, ''], perhaps('unreadable', 200)],
  'a page in 200': [[200, 'text/html', '<html>'], perhaps('unreadable', 200)],
  'cut-off JSON': [[200, JSON_TYPE, whole.slice(0, 20)], perhaps('unreadable', 200)],
  'invalid_grant 400': [[400, JSON_TYPE, { error: 'invalid_grant' }], error('invalid_grant', 400)],
  'invalid_grant 401': [[401, JSON_TYPE, { error: 'invalid_grant' }], error('invalid_grant', 401)],
  'invalid_grant 403': [[403, JSON_TYPE, { error: 'invalid_grant' }], error('invalid_grant', 403)],
  'invalid_grant as text/html': [[400, 'text/html', { error: 'invalid_grant' }], error('invalid_grant', 400)],
  'invalid_grant with a challenge': [
    [401, JSON_TYPE, { error: 'invalid_grant' }, { 'www-authenticate': 'Bearer error="invalid_token"' }],
    error('invalid_grant', 401),
  ],
  'invalid_client with a challenge': [
    [401, JSON_TYPE, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="x"' }],
    error('invalid_client', 401),
  ],
  'an error object': [
    [400, JSON_TYPE, { error: { message: 'x', type: 'OAuthException' } }],
    perhaps('unreadable', 400),
  ],
  'a page in 400': [[400, 'text/html', '<html>bad'], perhaps('unreadable', 400)],
  'a page in 401': [[401, 'text/html', '<html>sign in</html>'], perhaps('unreadable', 401)],
  'a page in 403': [[403, 'text/html', '<html>blocked</html>'], perhaps('unreadable', 403)],
  'an empty 400': [[400, undefined, ''], perhaps('unreadable', 400)],
  'a list of errors': [[400, JSON_TYPE, { errors: [{ message: 'x' }] }], perhaps('unreadable', 400)],
  '429 with a code': [
    [429, JSON_TYPE, { error: 'rate_limited' }, { 'retry-after': '7' }],
    error('rate_limited', 429, 7),
  ],
  '429 as a page': [
    [429, 'text/html', 'slow'],
    { type: 'not_processed', error_class: 'rate_limited', status: 429, retry_after: null },
  ],
  'a page in 500': [[500, 'text/html', '<h1>oops'], perhaps('server_error', 500)],
  '503 with a code': [[503, JSON_TYPE, { error: 'temporarily_unavailable' }], error('temporarily_unavailable', 503)],
  '503 with Retry-After': [
    [503, 'text/html', 'x', { 'retry-after': '9' }],
    { type: 'not_processed', error_class: 'unavailable', status: 503, retry_after: 9 },
  ],
  'an empty 502': [[502, undefined, ''], perhaps('server_error', 502)],
  'a sentence for a code': [
    [500, JSON_TYPE, { status: 500, error: 'Internal Server Error', path: '/token' }],
    perhaps('server_error', 500),
  ],
  "a gateway's code in 504": [[504, JSON_TYPE, { error: 'upstream_timeout' }], perhaps('server_error', 504)],
  'invalid_grant through a gateway in 502': [[502, JSON_TYPE, { error: 'invalid_grant' }], error('invalid_grant', 502)],
  'a timeout in 408': [[408, 'text/html', 'x'], perhaps('unreadable', 408)],
  'too early': [
    [425, 'text/html', 'x'],
    { type: 'not_processed', error_class: 'unavailable', status: 425, retry_after: null },
  ],
  '503 with a date to come back at': [
    [503, 'text/html', 'x', { 'retry-after': 'Thu, 01 Jan 1970 00:20:00 GMT' }],
    { type: 'not_processed', error_class: 'unavailable', status: 503, retry_after: 200 },
  ],
  '503 with an unreadable Retry-After': [
    [503, 'text/html', 'x', { 'retry-after': 'in 5 minutes' }],
    perhaps('server_error', 503),
  ],
  '429 with an absurd Retry-After': [
    [429, 'text/html', 'x', { 'retry-after': '9'.repeat(400) }],
    { type: 'not_processed', error_class: 'rate_limited', status: 429, retry_after: 604_800 },
  ],
  'a redirect with tokens': [[307, JSON_TYPE, ok, { location: '/elsewhere' }], perhaps('unreadable', 307)],
  'a redirect': [[302, undefined, '', { location: '/elsewhere' }], perhaps('unreadable', 302)],
  'more than 1 MiB': [[200, JSON_TYPE, { ...ok, padding: 'x'.repeat(1_100_000) }], perhaps('unreadable', null)],
};

const cases: Record<string, Case> = Object.fromEntries(
  [...Object.entries(TOKENS), ...Object.entries(OTHERS)].map(([name, [answer]]) => [name, answer]),
);
/** Aborts every listening of the client: the clock of these tests does not pass by itself. */
let deadlines: AbortController[] = [];
const clock: Clock = {
  ...systemClock,
  now: () => 1_000_000,
  timeout: () => {
    const controller = new AbortController();
    deadlines.push(controller);
    return controller.signal;
  },
};
const passDeadlines = () => {
  for (const deadline of deadlines) deadline.abort(new DOMException('late', 'TimeoutError'));
  deadlines = [];
};

describe('the answers that real token endpoints give', () => {
  let idp: Awaited<ReturnType<typeof startServer>>;
  let client: ReturnType<typeof startClient>;
  beforeAll(async () => {
    idp = await startServer((request, response) => {
      const name = decodeURIComponent(request.path.slice(1));
      if (name === 'silence') return void passDeadlines();
      if (name === 'bomb') {
        response.writeHead(200, { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' });
        return void response.end(bomb);
      }
      if (name === 'broken compression') {
        response.writeHead(200, { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' });
        return void response.end('this is not gzip');
      }
      if (name === 'endless') {
        response.writeHead(200, { 'content-type': JSON_TYPE });
        const pour = (): void => void response.write('x'.repeat(65_536), (failed) => failed ?? pour());
        pour();
        return undefined;
      }
      if (name === 'endless headers') {
        response.socket?.write(`HTTP/1.1 200 OK\r\n${'x-more: y\r\n'.repeat(10_000)}`);
        return undefined;
      }
      if (name === 'reset') return void response.socket?.resetAndDestroy();
      if (name.startsWith('stalled') || name.startsWith('broken')) {
        response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': '1000' });
        const text = name.endsWith('whole') ? whole : whole.slice(0, 20);
        response.write(text, () => (name.startsWith('stalled') ? passDeadlines() : response.socket?.destroy()));
        return undefined;
      }
      const [status, type, body, headers] = cases[name] ?? [404, undefined, ''];
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      return { status, headers: { ...(type ? { 'content-type': type } : {}), ...headers }, body: text };
    });
    client = startClient(clock);
  });
  afterAll(async () => {
    await client.close();
    await idp.close();
  });

  const ask = async (name: string, origin = idp.origin): Promise<TokenAnswer> => {
    const binding = bindingTo(origin, { token_endpoint: `${origin}/${encodeURIComponent(name)}` });
    const reply = await client.server.refresh(
      { binding, client_secret: null },
      { refresh_token: new Secret('rt'), listen_ms: 30_000, origin_of_trust: origin },
    );
    return readTokenReply(reply, clock.now());
  };

  it.each(Object.entries(TOKENS))(
    'keeps the tokens of %s',
    async (name, [, lifetime, refresh = 'rt2', type = 'Bearer']) => {
      const answer = await ask(name);
      if (answer.type !== 'tokens') throw new Error(JSON.stringify(answer));
      const { token_set: tokens } = answer;
      expect(tokens.access_token.reveal()).toBe('at');
      expect(tokens.refresh_token?.reveal() ?? null).toBe(refresh);
      expect(tokens.token_type).toBe(type);
      expect(tokens.expires_at).toBe(lifetime === null ? null : 1_000_000 + lifetime * 1000);
    },
  );

  it.each(Object.entries(OTHERS))('reads %s for what it proves (lesson 9)', async (name, [, expected]) => {
    expect(await ask(name)).toEqual(expected);
  });

  it.each([
    ['silence', 'timeout'],
    ['reset', 'reset'],
    ['bomb', 'unreadable'],
    ['broken compression', 'reset'],
    ['endless', 'unreadable'],
    ['endless headers', 'reset'],
    ['stalled', 'timeout'],
    ['broken', 'reset'],
  ])('takes %s as perhaps processed', async (name, error_class) => {
    expect(await ask(name)).toEqual(perhaps(error_class, null));
  });

  it('keeps tokens that came whole before the connection broke', async () => {
    expect((await ask('broken whole')).type).toBe('tokens');
  });

  it('keeps tokens that came whole although nobody ever ended the answer', async () => {
    const chunks = [new TextEncoder().encode(whole)];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk) controller.enqueue(chunk);
        else controller.error(new EgressError('perhaps_sent', 'timeout', 'late'));
      },
    });
    const reply = await tokenRequest(
      { fetch: async () => new Response(body), clock, random: systemRandom },
      { binding: bindingTo(idp.origin), client_secret: null },
      { fields: { grant_type: 'refresh_token' }, listen_ms: 1, origin_of_trust: idp.origin },
    );
    expect(readTokenReply(reply, clock.now()).type).toBe('tokens');
  });

  it('proves that nothing was sent when nobody listens', async () => {
    const gone = await startServer(() => undefined);
    await gone.close();
    expect(await ask('plain', gone.origin)).toMatchObject({ type: 'not_processed', error_class: 'connect' });
  });
});
