import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listen, stop } from '../mcp/gateway.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { AGENT_KEY, CLI, createHome, runToEnd, TestPlatform, until } from '../support/platform.ts';

const MODULE = fileURLToPath(new URL('../../examples/toolkit/feed.mjs', import.meta.url));
const FEED = {
  version: 'https://jsonfeed.org/version/1.1',
  title: 'Releases',
  items: [
    { id: '2', title: 'Two', content_text: 'Better', date_published: '2026-11-02T00:00:00Z' },
    { id: '1', title: 'One', content_text: 'The first' },
  ],
};

let demo: DemoParts;
let server: Server;
let url: string;

beforeAll(async () => {
  demo = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 600 });
  // Asks the provider itself about every token, so that one that has run out is refused.
  server = createServer(async ({ headers, url: path }, response) => {
    const asked = await fetch(`${demo.issuer}/me`, { headers: { authorization: headers.authorization ?? '' } });
    await asked.body?.cancel();
    response.writeHead(asked.ok ? 200 : 401, { 'content-type': 'application/feed+json' });
    response.end(path === '/feed.json' && asked.ok ? JSON.stringify(FEED) : 'null');
  });
  url = `http://127.0.0.1:${await listen(server)}`;
});
afterAll(async () => {
  await stop(server);
  await demo?.stop();
});

async function withClient<T>(mcpUrl: string, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl), { requestInit }));
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

describe('the example of a toolkit, loaded by the configuration file', { timeout: 120_000 }, () => {
  it('has connections whose tokens are kept alive, with history, status, test and records like those of any kind', async () => {
    const platform = await TestPlatform.start({ settings: { toolkits: [MODULE] } });
    try {
      const config = { endpoint: `${url}/feed.json`, auth_mode: 'oauth', oauth2_issuer: demo.issuer };
      await platform.putConnection('releases', { ...config, oauth2_scope: 'openid offline_access' }, 'feed');
      await platform.connect('releases', demo, 'feed');
      await until(async () => {
        const events = await platform.history('releases', 'refresh_succeeded', 'feed');
        expect(events.length).toBeGreaterThan(1);
      });
      await withClient(platform.mcpUrl, async (client) => {
        const names = await until(async () => {
          const { tools } = await client.listTools();
          expect(tools.map(({ name }) => name)).toContain('releases__list_entries');
          return tools.map(({ name }) => name);
        });
        expect(names).toEqual(['releases__list_entries', 'releases__read_entry']);
        const call = (name: string, args: Record<string, unknown>) =>
          client.callTool({ name: `releases__${name}`, arguments: args });
        expect((await call('list_entries', { search: 'first' })).structuredContent).toEqual({
          entries: [{ id: '1', title: 'One' }],
          more: false,
        });
        expect((await call('read_entry', { id: '2' })).structuredContent).toMatchObject({ content_text: 'Better' });
        const wrong = await call('list_entries', { limit: 'many' });
        expect([wrong.isError, JSON.stringify(wrong.content)]).toEqual([true, expect.stringContaining('limit')]);
      });
      const params = { kind: 'feed', name: 'releases' };
      expect(await platform.api.testConnection({ params })).toMatchObject({
        ok: true,
        message: expect.stringContaining('Releases: 2 entries.'),
      });
      expect(await platform.status('releases', 'feed')).toMatchObject({ state: 'connected', health: 'ok' });
      const { calls } = await until(async () => {
        const read = await platform.api.listCalls({ query: { kind: 'feed' } });
        expect(read.calls).toHaveLength(3);
        return read;
      });
      expect(calls.map(({ tool, outcome }) => [tool, outcome])).toContainEqual(['read_entry', 'ok']);
      await expect(platform.putConnection('x', { endpoint: 'ftp://x', colour: 1 }, 'feed')).rejects.toThrow(/colour/);
    } finally {
      await platform.remove();
    }
  });

  it('stops the start with one sentence where the module is missing', async () => {
    const home = createHome({ toolkits: ['./none.mjs'] });
    try {
      const args = [CLI, '--transport', 'http', '--config', home.configFile, '--data-dir', home.dataDir];
      const { code, stderr, stdout } = await runToEnd(process.execPath, args, home.env);
      expect([code, stdout]).toEqual([2, '']);
      const said = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
      expect(said).toEqual([
        expect.stringMatching(/^The setting toolkits.0 \(.\/none.mjs\) cannot be loaded \(Error: /),
      ]);
    } finally {
      home.remove();
    }
  });
});
