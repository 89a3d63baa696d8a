import { createPublicKey, type JsonWebKey, randomBytes, verify } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { listen, stop } from '../mcp/gateway.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { AGENT_KEY, CLI, type PlatformOptions, TestPlatform, until } from '../support/platform.ts';
import { createDatabase } from '../tools/postgres.mjs';

const KIND = 'api';
const NAME = 'notes';

const DESCRIPTION = JSON.stringify({
  openapi: '3.1.0',
  info: { title: 'Notes', version: '1' },
  paths: {
    '/notes/{id}': {
      get: {
        operationId: 'getNote',
        summary: 'One note',
        parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'integer' } }],
        responses: { 200: { description: 'It.' } },
      },
    },
  },
});

/** Refresh tokens die after ten idle seconds. */
let demo: DemoParts;
let api: Server;
let apiUrl: string;
let keys: (JsonWebKey & { kid?: string })[];
/** Requests that came with a token which the identity provider does not honour. */
let refused = 0;

/** A token of a person is asked about at the provider itself, one of a client in its own name is read (RFC 9068). */
async function isHonoured(authorization: string): Promise<boolean> {
  const [head = '', payload = '', signature] = authorization.replace(/^Bearer /, '').split('.');
  if (signature === undefined) {
    const asked = await fetch(`${demo.issuer}/me`, { headers: { authorization } });
    await asked.body?.cancel();
    return asked.ok;
  }
  const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;
  const key = keys.find(({ kid }) => kid === read(head).kid);
  const signed = Buffer.from(`${head}.${payload}`);
  const isGenuine =
    key !== undefined &&
    verify('sha256', signed, createPublicKey({ key, format: 'jwk' }), Buffer.from(signature, 'base64url'));
  const { iss, aud, exp } = read(payload);
  return isGenuine && iss === demo.issuer && aud === `${apiUrl}/v1` && Number(exp) * 1_000 > Date.now();
}

beforeAll(async () => {
  demo = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 10 });
  ({ keys } = (await (await fetch(`${demo.issuer}/jwks`)).json()) as { keys: typeof keys });
  api = createServer(async ({ headers, url }, response) => {
    const honoured = await isHonoured(headers.authorization ?? '').catch(() => false);
    if (!honoured) refused += 1;
    response.writeHead(honoured ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(honoured ? { path: url } : { error: 'who are you' }));
  });
  apiUrl = `http://127.0.0.1:${await listen(api)}`;
});
afterAll(async () => {
  await stop(api);
  await demo?.stop();
});

type Transport = StreamableHTTPClientTransport | StdioClientTransport;

function overHttp({ mcpUrl }: TestPlatform): Transport {
  const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
  return new StreamableHTTPClientTransport(new URL(mcpUrl), { requestInit });
}

/** As `claude mcp add mcp-data-platform -- mcp-data-platform` starts it, beside a server that runs. */
function overStdio({ home }: TestPlatform): Transport {
  const env = { ...home.env, MCP_DATA_PLATFORM_DATA_DIR: home.dataDir } as Record<string, string>;
  return new StdioClientTransport({ command: process.execPath, args: [CLI], env, stderr: 'ignore' });
}

async function readNote(transport: Transport, id: number) {
  const client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(transport);
  try {
    const args = { connection: NAME, operation_id: 'getNote', path_params: { id } };
    return (await client.callTool({ name: 'api_read_endpoint', arguments: args })).structuredContent;
  } finally {
    await client.close();
  }
}

async function byPerson(platform: TestPlatform): Promise<void> {
  const config = { base_url: `${apiUrl}/v1`, auth_mode: 'oauth', oauth2_issuer: demo.issuer };
  const more = { oauth2_scope: 'openid offline_access', openapi_spec: DESCRIPTION };
  await platform.putConnection(NAME, { ...config, ...more }, KIND);
  await platform.connect(NAME, demo, KIND);
}

async function inItsOwnName(platform: TestPlatform): Promise<void> {
  const answer = await fetch(`${demo.issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }),
  });
  const { client_id, client_secret } = (await answer.json()) as { client_id: string; client_secret: string };
  const config = { base_url: `${apiUrl}/v1`, auth_mode: 'oauth', oauth2_issuer: demo.issuer };
  const client = { oauth2_client_id: client_id, oauth2_client_secret: client_secret };
  const more = { oauth2_grant: 'client_credentials', oauth2_resource: `${apiUrl}/v1`, openapi_spec: DESCRIPTION };
  await platform.putConnection(NAME, { ...config, ...client, ...more }, KIND);
}

type Prepared = { options: PlatformOptions; drop(): Promise<void> };

async function onPostgresql(): Promise<Prepared> {
  const { url, drop } = await createDatabase(inject('postgresUrl'));
  const env = { DATABASE_URL: url, ENCRYPTION_KEY: randomBytes(32).toString('hex') };
  return { options: { env }, drop };
}

const embedded = async (): Promise<Prepared> => ({ options: {}, drop: async () => {} });

const GRANTS = [
  { grant: 'authorization_code', connect: byPerson },
  { grant: 'client_credentials', connect: inItsOwnName },
];
const CASES = GRANTS.flatMap((one) => [
  { ...one, engine: 'embedded', prepare: embedded },
  { ...one, engine: 'postgresql', prepare: onPostgresql },
]);

const time = (text: string | null | undefined) => Date.parse(text ?? '');

/** The history once it shows that the connection outlived its access token five times and its refresh token twice. */
async function outlived(platform: TestPlatform) {
  const [connected] = await platform.history(NAME, 'connect_completed', KIND);
  const start = time(connected?.occurred_at);
  const access = time(connected?.detail.expires_at) - start;
  const idle = time(connected?.detail.refresh_expires_at) - start;
  expect(access).toBeGreaterThan(0);
  const enough = start + Math.max(5 * access, idle > 0 ? 2 * idle : 0);
  return until(async () => {
    const events = await platform.history(NAME, undefined, KIND);
    const last = events.findLast(
      ({ event_type, actor }) => event_type === 'refresh_succeeded' && actor === 'system:background-refresh',
    );
    expect(time(last?.occurred_at)).toBeGreaterThanOrEqual(enough);
    return events;
  }, 150_000);
}

describe.concurrent('an HTTP API that nobody uses', { timeout: 240_000 }, () => {
  it.for(CASES)('outlives its tokens and works when it is called ($grant, $engine)', async (one) => {
    const { options, drop } = await one.prepare();
    const platform = await TestPlatform.start(options);
    try {
      expect(await platform.api.getSystem()).toMatchObject({ engine: one.engine });
      await one.connect(platform);
      const history = await outlived(platform);
      const types = history.map(({ event_type }) => event_type);
      expect(types.slice(0, 2)).toEqual(['connect_started', 'connect_completed']);
      expect(new Set(types.slice(2))).toEqual(new Set(['refresh_succeeded']));
      expect(await readNote(overHttp(platform), 7)).toMatchObject({ status: 200, body: { path: '/v1/notes/7' } });
      expect(await readNote(overStdio(platform), 9)).toMatchObject({ status: 200, body: { path: '/v1/notes/9' } });
      const plain = await fetch(`${platform.url}/api/v1/gateway/${NAME}/notes/8?x=1`, {
        headers: { 'x-api-key': AGENT_KEY },
      });
      expect([plain.status, await plain.json()]).toEqual([200, { path: '/v1/notes/8?x=1' }]);
      expect(refused).toBe(0);
      expect(await platform.status(NAME, KIND)).toMatchObject({ grant: one.grant, state: 'connected', health: 'ok' });
    } finally {
      await platform.remove();
      await drop();
    }
  });
});
