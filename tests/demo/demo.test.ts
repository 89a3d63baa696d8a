import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { createPlainClient, getJson } from './oauth-client.ts';

const tools = createRequire(new URL('../tools/package.json', import.meta.url));

let demo: DemoParts;
let client: Awaited<ReturnType<typeof createPlainClient>>;

beforeAll(async () => {
  demo = await startDemoParts({ accessTtl: 60, refreshIdleTtl: 600 });
  client = await createPlainClient(demo);
}, 60_000);

afterAll(async () => {
  await client?.close();
  await demo?.stop();
});

const call = (token?: string) =>
  fetch(demo.upstreamUrl, { method: 'POST', headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });

describe('the identity provider of the demo', () => {
  test('announces registration, PKCE, revocation, iss and the refresh grant under its own issuer', async () => {
    expect(client.metadata).toMatchObject({
      issuer: demo.issuer,
      registration_endpoint: expect.stringContaining(demo.issuer),
      revocation_endpoint: expect.stringContaining(demo.issuer),
      userinfo_endpoint: expect.stringContaining(demo.issuer),
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      grant_types_supported: expect.arrayContaining(['authorization_code', 'refresh_token']),
      scopes_supported: expect.arrayContaining(['mcp', 'offline_access']),
    });
    expect(await getJson(`${demo.issuer}/.well-known/oauth-authorization-server`)).toMatchObject({
      issuer: demo.issuer,
    });
    expect(await getJson(`${demo.issuer}/health`)).toEqual({ status: 'ok' });
  });

  test('says the same endpoints when it is asked under another host name', async () => {
    const elsewhere = demo.issuer.replace('127.0.0.1', 'localhost');
    expect(await getJson(`${elsewhere}/.well-known/openid-configuration`)).toEqual(client.metadata);
  });

  test('signs a person in by its own form, asks for consent, and returns code, state and iss to the callback', async () => {
    const { url, state } = client.authorization(demo.upstreamUrl);
    const end = await demo.login(url);
    expect(end).toMatchObject({ status: 200, body: 'back at the application' });
    const returned = new URL(end.url);
    expect(`${returned.origin}${returned.pathname}`).toBe(client.redirectUri);
    expect(Object.fromEntries(returned.searchParams)).toEqual({ code: expect.any(String), state, iss: demo.issuer });
  });

  test('does not let anyone in with a wrong password', async () => {
    const { submitLogin } = await import('../../examples/demo/start-demo.mjs');
    const { url } = client.authorization(demo.upstreamUrl);
    const attempt = submitLogin({ authorizationUrl: url, username: demo.username, password: 'guess' });
    await expect(attempt).rejects.toThrow('refused the username or the password');
  });

  test('refuses an authorization request without PKCE', async () => {
    const { url } = client.authorization(demo.upstreamUrl);
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const end = await demo.login(url);
    expect(new URL(end.url).searchParams.get('error')).toBe('invalid_request');
  });

  test('gives a refresh token only to whoever asks to stay connected', async () => {
    expect(await client.signIn(demo.upstreamUrl, { scope: 'mcp' })).not.toHaveProperty('refresh_token');
  });

  test('rotates the refresh token at every use, discloses when it ends, and starts its time anew', async () => {
    const first = await client.signIn();
    expect(first).toMatchObject({ token_type: 'Bearer', expires_in: 60, scope: expect.stringContaining('mcp') });
    expect(first.refresh_expires_in).toBe(600);
    const second = await client.refresh(first.refresh_token);
    expect(second).toMatchObject({ status: 200, body: { expires_in: 60, refresh_expires_in: 600 } });
    expect(second.body.refresh_token).not.toBe(first.refresh_token);
  });

  test('answers invalid_grant to a used refresh token, and the whole family is dead', async () => {
    const first = await client.signIn();
    const second = await client.refresh(first.refresh_token);
    const replay = await client.refresh(first.refresh_token);
    expect(replay).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    const newest = await client.refresh(second.body.refresh_token);
    expect(newest).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test('keeps two connections of one person apart: the end of one family leaves the other alive', async () => {
    const [doomed, kept] = [await client.signIn(), await client.signIn()];
    await client.refresh(doomed.refresh_token);
    await client.refresh(doomed.refresh_token);
    expect(await client.refresh(kept.refresh_token)).toMatchObject({ status: 200 });
  });

  test('knows clients, grants and tokens again after it was killed', async () => {
    const { refresh_token, access_token } = await client.signIn();
    await demo.identityProvider.restart();
    expect((await call(access_token)).status).not.toBe(401);
    expect(await client.refresh(refresh_token)).toMatchObject({ status: 200 });
  });
});

test('a refresh token that stays unused is dead after its idle time, and one that is used in time outlives it', async () => {
  const idle = 2;
  const brief = await startDemoParts({ accessTtl: 1, refreshIdleTtl: idle });
  const other = await createPlainClient(brief);
  try {
    const unused = await other.signIn();
    let used = (await other.signIn()).refresh_token;
    const over = Date.now() + (idle + 1) * 1000;
    const stillAlive = async () => {
      const { status, body } = await other.refresh(used);
      used = body.refresh_token;
      return status === 200 && Date.now() > over;
    };
    await expect.poll(stillAlive, { interval: 500, timeout: 15_000 }).toBe(true);
    expect(await other.refresh(unused.refresh_token)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  } finally {
    await other.close();
    await brief.stop();
  }
}, 60_000);

describe('the protected MCP server of the demo', () => {
  test('describes itself at the well-known URL of its path and at the root (RFC 9728)', async () => {
    const { origin } = new URL(demo.upstreamUrl);
    const described = { resource: demo.upstreamUrl, authorization_servers: [demo.issuer], scopes_supported: ['mcp'] };
    expect(await getJson(`${origin}/.well-known/oauth-protected-resource/mcp`)).toMatchObject(described);
    expect(await getJson(`${origin}/.well-known/oauth-protected-resource`)).toMatchObject(described);
  });

  test('challenges a caller without a token and points to its metadata, without naming an error', async () => {
    const answer = await call();
    const metadata = `${new URL(demo.upstreamUrl).origin}/.well-known/oauth-protected-resource/mcp`;
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(`Bearer resource_metadata="${metadata}", scope="mcp"`);
  });

  test.each(['garbage', 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZW1vIn0.'])('refuses %s as a token', async (token) => {
    const answer = await call(token);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"');
  });

  test('refuses a token that the provider issued for another resource', async () => {
    const { access_token } = await client.signIn('http://127.0.0.1:1/mcp');
    const answer = await call(access_token);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"');
  });

  test('refuses a token without its scope, and says which one it wants', async () => {
    const { access_token } = await client.signIn(demo.upstreamUrl, { scope: 'openid offline_access' });
    const answer = await call(access_token);
    expect(answer.status).toBe(403);
    expect(answer.headers.get('www-authenticate')).toMatch(/error="insufficient_scope".*scope="mcp"/);
  });

  test('lets an official SDK client list and call tools, and keeps the token to itself', async () => {
    const { access_token } = await client.signIn();
    const { Client } = tools('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = tools('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const mcp = new Client({ name: 'demo-test', version: '1.0.0' });
    const requestInit = { headers: { authorization: `Bearer ${access_token}` } };
    await mcp.connect(new StreamableHTTPClientTransport(new URL(demo.upstreamUrl), { requestInit }));
    try {
      const { tools: listed } = await mcp.listTools();
      expect(listed.length).toBeGreaterThanOrEqual(13);
      const echo = await mcp.callTool({ name: 'echo', arguments: { message: 'hello' } });
      expect(echo.content).toEqual([{ type: 'text', text: 'Echo: hello' }]);
      const progress: unknown[] = [];
      const slow = { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 2 } };
      await mcp.callTool(slow, undefined, { onprogress: (step: unknown) => progress.push(step) });
      expect(progress.length).toBeGreaterThan(0);
      const environment = JSON.stringify(await mcp.callTool({ name: 'get-env', arguments: {} }));
      expect(environment).not.toContain(access_token);
      expect(environment).not.toContain('HOME');
    } finally {
      await mcp.close();
    }
  });
});

test('nothing is left behind when the process that started the demo is killed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mdp-demo-orphan-'));
  const starter = join(folder, 'starter.mjs');
  const entry = pathToFileURL(join(import.meta.dirname, '../../examples/demo/start-demo.mjs')).href;
  await writeFile(
    starter,
    `const { startIdentityProvider, startUpstream } = await import(${JSON.stringify(entry)});
     const { issuer } = await startIdentityProvider({ dataDir: 'idp' });
     const { resource } = await startUpstream({ dataDir: 'upstream', issuer });
     process.send([issuer + '/health', new URL('/health', resource).href]);`,
  );
  const parent = fork(starter, { cwd: folder });
  try {
    const urls = await new Promise<string[]>((resolve) =>
      parent.once('message', (message) => resolve(message as string[])),
    );
    for (const url of urls) expect((await fetch(url)).status).toBe(200);
    parent.kill('SIGKILL');
    const answers = () =>
      Promise.all(
        urls.map((url) =>
          fetch(url).then(
            (answer) => answer.status,
            () => 'gone',
          ),
        ),
      );
    await expect.poll(answers, { timeout: 10_000 }).toEqual(['gone', 'gone']);
  } finally {
    parent.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
