import { createServer, type Server } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listen, stop } from '../mcp/gateway.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { AGENT_KEY, TestPlatform, until } from '../support/platform.ts';

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

let demo: DemoParts;
let api: Server;
let apiUrl: string;
/** Requests that came with a token which the identity provider does not honour. */
let refused = 0;

beforeAll(async () => {
  demo = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 10 });
  // Asks the provider itself about every token, so that one that has run out is refused.
  api = createServer(async ({ headers, url }, response) => {
    const asked = await fetch(`${demo.issuer}/me`, { headers: { authorization: headers.authorization ?? '' } });
    await asked.body?.cancel();
    if (!asked.ok) refused += 1;
    response.writeHead(asked.ok ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(asked.ok ? { path: url } : { error: 'who are you' }));
  });
  apiUrl = `http://127.0.0.1:${await listen(api)}`;
});
afterAll(async () => {
  await stop(api);
  await demo?.stop();
});

async function callTool(mcpUrl: string, name: string, args: Record<string, unknown>) {
  const client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl), { requestInit }));
  try {
    return await client.callTool({ name, arguments: { connection: NAME, ...args } });
  } finally {
    await client.close();
  }
}

const time = (text: string | null | undefined) => Date.parse(text ?? '');

describe('an HTTP API that nobody uses', { timeout: 240_000 }, () => {
  it('outlives its tokens and works when it is called, by an agent and by a program', async () => {
    const platform = await TestPlatform.start();
    try {
      const config = { base_url: `${apiUrl}/v1`, auth_mode: 'oauth', oauth2_issuer: demo.issuer };
      await platform.putConnection(
        NAME,
        { ...config, oauth2_scope: 'openid offline_access', openapi_spec: DESCRIPTION },
        KIND,
      );
      await platform.connect(NAME, demo, KIND);
      const [connected] = await platform.history(NAME, 'connect_completed', KIND);
      const start = time(connected?.occurred_at);
      const access = time(connected?.detail.expires_at) - start;
      const idle = time(connected?.detail.refresh_expires_at) - start;
      const enough = start + Math.max(5 * access, idle > 0 ? 2 * idle : 0);
      const history = await until(async () => {
        const events = await platform.history(NAME, undefined, KIND);
        const last = events.findLast(
          ({ event_type, actor }) => event_type === 'refresh_succeeded' && actor === 'system:background-refresh',
        );
        expect(time(last?.occurred_at)).toBeGreaterThanOrEqual(enough);
        return events;
      }, 150_000);
      expect(history.slice(0, 2).map(({ event_type }) => event_type)).toEqual(['connect_started', 'connect_completed']);
      expect(new Set(history.slice(2).map(({ event_type }) => event_type))).toEqual(new Set(['refresh_succeeded']));
      const { structuredContent } = await callTool(platform.mcpUrl, 'api_read_endpoint', {
        operation_id: 'getNote',
        path_params: { id: 7 },
      });
      expect(structuredContent).toMatchObject({ status: 200, body: { path: '/v1/notes/7' } });
      const plain = await fetch(`${platform.url}/api/v1/gateway/${NAME}/notes/8?x=1`, {
        headers: { 'x-api-key': AGENT_KEY },
      });
      expect([plain.status, await plain.json()]).toEqual([200, { path: '/v1/notes/8?x=1' }]);
      expect(refused).toBe(0);
      expect(await platform.status(NAME, KIND)).toMatchObject({ state: 'connected', health: 'ok' });
    } finally {
      await platform.remove();
    }
  });
});
