import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { AGENT_KEY, CLI, type Home, runToEnd, TestPlatform, until } from '../support/platform.ts';
import { Client as OldClient } from '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/client/index.js';
import { StdioClientTransport as OldStdio } from '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/client/stdio.js';
import { StreamableHTTPClientTransport as OldHttp } from '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/client/streamableHttp.js';

const NAME = 'everything';
const HEADERS = { authorization: `Bearer ${AGENT_KEY}` };
const tools = createRequire(new URL('../tools/package.json', import.meta.url));

type Called = { content?: { type: string; text?: string }[]; isError?: boolean };
type CallOptions = { onprogress?: () => void };
type AnyClient = {
  pid: number | null;
  toolNames(): Promise<string[]>;
  call(tool: string, args: Record<string, unknown>, options?: CallOptions): Promise<Called>;
  close(): Promise<void>;
};
type Generation = 'v2 auto' | 'v2 legacy' | 'v1';

const GENERATIONS: Generation[] = ['v2 auto', 'v2 legacy', 'v1'];
const info = { name: 'end-to-end', version: '1' };

function newClient(generation: Generation) {
  const mode = generation === 'v2 auto' ? 'auto' : 'legacy';
  return new Client(info, { versionNegotiation: { mode } });
}

function wrap(client: Client | OldClient, pid: number | null): AnyClient {
  return {
    pid,
    toolNames: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (tool, args, options = {}) => {
      const params = { name: `${NAME}__${tool}`, arguments: args };
      const called =
        client instanceof Client
          ? await client.callTool(params, options)
          : await client.callTool(params, undefined, options);
      return called as Called;
    },
    close: () => client.close(),
  };
}

async function overHttp(generation: Generation, url: string): Promise<AnyClient> {
  const requestInit = { headers: HEADERS };
  if (generation === 'v1') {
    const client = new OldClient(info);
    await client.connect(new OldHttp(new URL(url), { requestInit }));
    return wrap(client, null);
  }
  const client = newClient(generation);
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  return wrap(client, null);
}

/** The client starts the command itself, as `claude mcp add mcp-data-platform -- mcp-data-platform` has it. */
async function overStdio(generation: Generation, home: Home, args: string[] = []): Promise<AnyClient> {
  const env = { ...home.env, MCP_DATA_PLATFORM_DATA_DIR: home.dataDir } as Record<string, string>;
  const command = { command: process.execPath, args: [CLI, ...args], env, stderr: 'ignore' as const };
  if (generation === 'v1') {
    const transport = new OldStdio(command);
    const client = new OldClient(info);
    await client.connect(transport);
    return wrap(client, transport.pid);
  }
  const transport = new StdioClientTransport(command);
  const client = newClient(generation);
  await client.connect(transport);
  return wrap(client, transport.pid);
}

async function expectToWork(client: AnyClient): Promise<void> {
  await until(async () => expect(await client.toolNames()).toContain(`${NAME}__echo`));
  const answer = await client.call('echo', { message: 'from afar' });
  expect(answer.content?.[0]?.text).toContain('from afar');
}

let demo: DemoParts;
let platform: TestPlatform;

beforeAll(async () => {
  demo = await startDemoParts({ accessTtl: 600, refreshIdleTtl: 6_000 });
  platform = await TestPlatform.start();
  await platform.putConnection(NAME, { endpoint: demo.upstreamUrl, auth_mode: 'oauth' });
  await platform.connect(NAME, demo);
});
afterAll(async () => {
  await platform?.remove();
  await demo?.stop();
});

describe('over HTTP', () => {
  it.each(GENERATIONS)('the client of SDK %s lists and calls the tools', async (generation) => {
    const client = await overHttp(generation, platform.mcpUrl);
    await expectToWork(client);
    await client.close();
  });

  it('nobody gets in without a key', async () => {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} });
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const tries: Record<string, string>[] = [{}, { authorization: 'Bearer guess' }];
    for (const more of tries) {
      const answer = await fetch(platform.mcpUrl, { method: 'POST', headers: { ...headers, ...more }, body });
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/);
    }
  });

  it.each(['legacy', 'modern'])("Inspector's command line lists and calls the tools (%s era)", async (era) => {
    const header = ['--header', `Authorization: Bearer ${AGENT_KEY}`];
    const target = [platform.mcpUrl, '--transport', 'http', ...header, '--protocol-era', era];
    const list = await inspect([...target, '--method', 'tools/list', '--format', 'json', '-q']);
    expect(list.result.tools.map(({ name }) => name)).toContain(`${NAME}__echo`);
    const call = ['--method', 'tools/call', '--tool-name', `${NAME}__echo`, '--tool-arg', 'message=inspected'];
    const called = await inspect([...target, ...call, '--format', 'json', '-q']);
    expect(called.result.content[0]?.text).toContain('inspected');
  });
});

type Inspected = { result: { tools: { name: string }[]; content: { text?: string }[] } };

async function inspect(args: string[]): Promise<Inspected> {
  const bin = join(dirname(tools.resolve('@modelcontextprotocol/inspector/package.json')), '../../.bin/mcp-inspector');
  const all = [bin, '--cli', ...args];
  const { code, stdout, stderr } = await runToEnd(process.execPath, all, platform.home.env);
  if (code !== 0) throw new Error(`Inspector ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Inspected;
}

describe('over stdio, on the data directory that a server has', () => {
  it.each(GENERATIONS)(
    'the client of SDK %s starts the bare command, lists and calls the tools',
    async (generation) => {
      const client = await overStdio(generation, platform.home);
      await expectToWork(client);
      await client.close();
    },
  );

  it("Inspector's command line starts the bare command, lists and calls the tools", async () => {
    const command = [process.execPath, CLI, '--data-dir', platform.home.dataDir];
    const list = await inspect(['--method', 'tools/list', '--format', 'json', '-q', ...command]);
    expect(list.result.tools.map(({ name }) => name)).toContain(`${NAME}__echo`);
  });

  it('several processes share one data directory, and the others go on when kill -9 hits the owner', async () => {
    await platform.stop();
    const config = ['--config', platform.home.configFile];
    // All at once, so that two of them come while the third is still opening the database.
    const generations: Generation[] = ['v2 auto', 'v2 legacy', 'v1'];
    const clients = await Promise.all(generations.map((generation) => overStdio(generation, platform.home, config)));
    await Promise.all(clients.map(expectToWork));
    const record = JSON.parse(readFileSync(join(platform.home.dataDir, 'owner.json'), 'utf8')) as { pid: number };
    const others = clients.filter(({ pid }) => pid !== record.pid);
    expect(others).toHaveLength(2);
    const underWay = new Set<AnyClient>();
    const long = others.map((client) => {
      const onprogress = () => void underWay.add(client);
      const args = { duration: 30, steps: 300 };
      return client.call('trigger-long-running-operation', args, { onprogress }).then(
        () => undefined,
        (error: { code?: number; data?: unknown }) => error,
      );
    });
    await until(() => expect(underWay.size).toBe(others.length));
    process.kill(record.pid, 'SIGKILL');
    for (const error of await Promise.all(long)) expect(error).toMatchObject({ data: { retryable: true } });
    for (const client of others) await until(() => expectToWork(client));
    await Promise.all(clients.map((client) => client.close()));
    await platform.restart();
  });
});
