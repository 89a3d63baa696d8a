import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  freePort,
  type Process,
  programs,
  startEverything,
  startEverythingSse,
  startModernMemory,
} from '../mcp/upstreams.ts';
import { AGENT_KEY, TestPlatform, until } from '../support/platform.ts';

const OAUTH_EXAMPLE = fileURLToPath(
  new URL(
    '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js',
    import.meta.url,
  ),
);

/** The server of the older SDK's examples behind the authorization server beside it, whose page asks nothing. */
async function startBehindOAuth(): Promise<Process> {
  const port = await freePort();
  const authPort = await freePort();
  const env = { PATH: process.env.PATH, MCP_PORT: String(port), MCP_AUTH_PORT: String(authPort) };
  const child = spawn(process.execPath, [OAUTH_EXAMPLE, '--oauth', '--oauth-strict'], { env, stdio: 'ignore' });
  const gone = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  const url = `http://localhost:${port}/mcp`;
  await until(async () => expect((await fetch(url, { method: 'POST' })).status).toBe(401));
  return { url, port, kill };
}

let folder: string;
let platform: TestPlatform;
const upstreams: Process[] = [];

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'mdp-real-')));
  writeFileSync(join(folder, 'note.txt'), 'written before the test');
  const [http, sse, modern, oauth] = await Promise.all([
    startEverything(),
    startEverythingSse(),
    startModernMemory(),
    startBehindOAuth(),
  ]);
  upstreams.push(http, sse, modern, oauth);
  const none = { auth_mode: 'none' };
  const declared = (name: string, config: Record<string, unknown>) => ({ kind: 'mcp', name, config });
  platform = await TestPlatform.start({
    settings: {
      connections: [
        declared('everything-http', { endpoint: http.url, ...none }),
        declared('everything-sse', { endpoint: sse.url, transport: 'sse', ...none }),
        declared('everything-stdio', { ...programs.everything(), ...none }),
        declared('filesystem', { ...programs.filesystem(folder), ...none }),
        declared('memory', { ...programs.memory(join(folder, 'memory.jsonl')), ...none }),
        declared('memory-modern', { endpoint: modern.url, ...none }),
      ],
    },
  });
  await platform.putConnection('behind-oauth', { endpoint: oauth.url, auth_mode: 'oauth' });
});
afterAll(async () => {
  await platform?.remove();
  await Promise.all(upstreams.map((upstream) => upstream.kill()));
  rmSync(folder, { recursive: true, force: true });
});

type Era = 'modern' | 'legacy';

async function connect(era: Era, connection: string, capabilities: Record<string, object> = {}): Promise<Client> {
  const mode = era === 'modern' ? { pin: '2026-07-28' } : ('legacy' as const);
  const client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode }, capabilities });
  const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
  const url = new URL(`${platform.mcpUrl}/${connection}`);
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
  expect(client.getProtocolEra()).toBe(era);
  return client;
}

async function expectListedAndCalled(
  era: Era,
  connection: string,
  { least, tool, args, says }: { least: number; tool: string; args: () => Record<string, unknown>; says: string },
): Promise<void> {
  const client = await connect(era, connection);
  try {
    await until(async () => {
      const { tools } = await client.listTools();
      expect(tools.length).toBeGreaterThanOrEqual(least);
      expect(tools.map(({ name }) => name)).toContain(tool);
    });
    const result = await client.callTool({ name: tool, arguments: args() });
    expect(result.isError ?? false).toBe(false);
    expect(JSON.stringify(result.content)).toContain(says);
  } finally {
    await client.close();
  }
}

const echo = { least: 13, tool: 'echo', args: () => ({ message: 'from afar' }), says: 'from afar' };
const graph = { least: 9, tool: 'read_graph', args: () => ({}), says: 'entities' };
const note = () => ({ path: join(folder, 'note.txt') });

describe('servers from npm, behind the gateway as a program, and clients of the other era', () => {
  it.each([
    ['server-everything over Streamable HTTP', 'everything-http', 'modern', echo],
    ['server-everything over SSE', 'everything-sse', 'modern', echo],
    ['server-everything over stdio', 'everything-stdio', 'modern', echo],
    [
      'server-filesystem over stdio',
      'filesystem',
      'modern',
      { least: 14, tool: 'read_text_file', args: note, says: 'written before the test' },
    ],
    ['server-memory over stdio', 'memory', 'modern', graph],
    ['mcp-proxy, of the modern era, before server-memory', 'memory-modern', 'legacy', graph],
  ] as const)('%s is listed and called', async (_title, connection, era, expected) => {
    await platform.explain(connection, () => expectListedAndCalled(era, connection, expected));
  });

  it('one behind OAuth is discovered, registered with, consented to, listed and called', async () => {
    await platform.explain('behind-oauth', async () => {
      const params = { kind: 'mcp', name: 'behind-oauth' };
      const { authorization_url } = await platform.api.startConsent({ params, body: {} });
      const page = await fetch(authorization_url, { method: 'POST', redirect: 'manual' });
      const cookie = page.headers.getSetCookie().map((line) => line.split(';')[0]);
      const provider = await fetch(page.headers.get('location') ?? '', { redirect: 'manual' });
      const back = await fetch(provider.headers.get('location') ?? '', {
        redirect: 'manual',
        headers: { cookie: cookie.join('; ') },
      });
      expect(back.headers.get('location')).toContain('connected=1');
      const greet = { least: 5, tool: 'greet', args: () => ({ name: 'Ada' }), says: 'Ada' };
      await expectListedAndCalled('modern', 'behind-oauth', greet);
    });
  });

  it.each([
    ['that can be asked something', { sampling: {} }],
    ['that cannot', {}],
  ])('server-everything tells a client %s of what it follows and has it update itself', async (_who, capabilities) => {
    await platform.explain('everything-http', async () => {
      const client = await connect('legacy', 'everything-http', capabilities);
      const heard = vi.fn();
      client.setNotificationHandler('notifications/resources/updated', ({ params }) => heard(params.uri));
      await until(async () => expect((await client.listResources()).resources).not.toHaveLength(0));
      const uri = String((await client.listResources()).resources[0]?.uri);
      await client.subscribeResource({ uri });
      // It does so for the session alone in which it is called.
      await client.callTool({ name: 'toggle-subscriber-updates' });
      await until(async () => expect(heard).toHaveBeenCalledWith(uri));
      await client.callTool({ name: 'toggle-subscriber-updates' });
      await client.close();
    });
  });

  it('all are there at once in the merged list', async () => {
    const client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(platform.mcpUrl), { requestInit }));
    const { tools } = await client.listTools();
    const prefixes = new Set(tools.map(({ name }) => name.split('__')[0]));
    expect([...prefixes].sort()).toEqual([
      'behind-oauth',
      'everything-http',
      'everything-sse',
      'everything-stdio',
      'filesystem',
      'memory',
      'memory-modern',
    ]);
    await client.close();
  });
});
