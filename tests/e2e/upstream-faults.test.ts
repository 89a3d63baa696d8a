import { createServer } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Process, type RawReply, type RawUpstream, startEverything, startRaw } from '../mcp/upstreams.ts';
import { AGENT_KEY, TestPlatform, until } from '../support/platform.ts';

/** Stands in whatever a faulty upstream says that is nobody else's business. */
const SECRET = 'what-only-the-upstream-knows';
const MANY = 5_000;
const LARGE = 10 * 1024 * 1024;

type Answer = (tool: string, args: Record<string, unknown>) => RawReply;
const tool = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  description: `The tool ${name}`,
  inputSchema: { type: 'object' },
  ...more,
});
const text = (value: string): RawReply => ({ result: { content: [{ type: 'text', text: value }] } });
const ECHO: Answer = (_tool, args) => text(`echo: ${String(args.message)}`);

function upstream(tools: ReturnType<typeof tool>[], call: Answer): Promise<RawUpstream> {
  return startRaw(({ method, params }) => {
    if (method === 'tools/list') return { result: { tools, ttlMs: 0, cacheScope: 'private' } };
    if (method !== 'tools/call') return { error: { code: -32601, message: 'Method not found' }, status: 404 };
    return call(String(params.name), (params.arguments ?? {}) as Record<string, unknown>);
  });
}

let platform: TestPlatform;
let client: Client;
let restarted: Process;
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  platform = await TestPlatform.start();
  restarted = await startEverything();
  const raw = {
    steady: await upstream([tool('echo')], ECHO),
    slow: await upstream([tool('wait')], () => ({ hang: true })),
    lying: await upstream(
      [
        tool('lie', { outputSchema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] } }),
        tool('remote', { inputSchema: { type: 'object', properties: { x: { $ref: 'https://schema.invalid/x' } } } }),
        tool('broken', { inputSchema: { type: 'object', properties: { x: { type: 'string', pattern: '(' } } } }),
      ],
      () => ({ result: { content: [{ type: 'text', text: 'three' }], structuredContent: { n: 'three' } } }),
    ),
    many: await upstream(
      Array.from({ length: MANY }, (_none, index) => tool(`t${index}`)),
      (name) => text(`called ${name}`),
    ),
    large: await upstream([tool('dump')], () => text('x'.repeat(LARGE))),
    garbage: await upstream([tool('html'), tool('half'), tool('drop')], (name) => {
      if (name === 'drop') return { drop: true };
      const headers = { 'content-type': name === 'html' ? 'text/html' : 'application/json' };
      return { status: 200, headers, body: name === 'html' ? `<h1>${SECRET}</h1>` : `{"jsonrpc":"2.0","res${SECRET}` };
    }),
  };
  const noise = createServer((socket) => {
    socket.on('error', () => undefined).resume();
    socket.end(Buffer.from(`\u0000\u0007${SECRET}\r\n\r\n`));
  });
  await new Promise<void>((resolve) => noise.listen(0, '127.0.0.1', resolve));
  const { port } = noise.address() as { port: number };
  for (const [name, { url, close }] of Object.entries(raw)) {
    closing.push(close);
    await platform.putConnection(name, { endpoint: url, auth_mode: 'none', call_timeout: '2s' });
  }
  closing.push(() => new Promise((resolve) => noise.close(resolve)));
  await platform.putConnection('noise', { endpoint: `http://127.0.0.1:${port}/mcp`, auth_mode: 'none' });
  await platform.putConnection('restarted', { endpoint: restarted.url, auth_mode: 'none' });
  client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(platform.mcpUrl), { requestInit }));
  await until(async () => {
    const names = new Set((await client.listTools()).tools.map(({ name }) => name));
    for (const one of ['steady__echo', 'slow__wait', 'lying__lie', 'large__dump', 'garbage__html', 'restarted__echo']) {
      expect(names).toContain(one);
    }
    expect(names).toContain(`many__t${MANY - 1}`);
  });
});
afterAll(async () => {
  await client?.close();
  await platform?.remove();
  await Promise.all(closing.map((close) => close()));
  await restarted?.kill();
});

type Called = { content: { type: string; text: string }[]; isError?: boolean; _meta?: Record<string, unknown> };

async function call(name: string, args: Record<string, unknown> = {}): Promise<Called> {
  // Without the client's own check of results: what is looked at is what came over the wire.
  const { ResultSchema } = await import('@modelcontextprotocol/core');
  const params = { name, arguments: args };
  return (await client.request({ method: 'tools/call', params }, ResultSchema)) as unknown as Called;
}

/** Another connection is called meanwhile, and is none the slower for it. */
async function besides<T>(work: Promise<T>): Promise<T> {
  const [done, other] = await Promise.all([work, call('steady__echo', { message: 'unaffected' })]);
  expect(other.content[0]?.text).toBe('echo: unaffected');
  return done;
}

function expectNothingLeaked(told: unknown): void {
  expect(JSON.stringify(told)).not.toContain(SECRET);
  expect(platform.output()).not.toContain(SECRET);
  expect(platform.apiReplies.join('\n')).not.toContain(SECRET);
}

/** A failure that says which connection, what happened and where to look, and nothing of the upstream's own. */
function expectToldClearly({ isError, content, _meta }: Called, connection: string, code: string): void {
  expect(isError).toBe(true);
  expect(content[0]?.text).toContain(`mcp/${connection}`);
  expect(content[0]?.text).toContain(`${platform.url}/connections/mcp/${connection}`);
  expect(_meta?.['mcp-data-platform/error']).toMatchObject({ code, connection: { kind: 'mcp', name: connection } });
  expectNothingLeaked(content);
}

describe('an upstream that', () => {
  it('is killed and started again in the midst of a session is called again, and told as gone meanwhile', async () => {
    expect((await call('restarted__echo', { message: 'before' })).content[0]?.text).toContain('before');
    await restarted.kill();
    expectToldClearly(await besides(call('restarted__echo', { message: 'gone' })), 'restarted', 'upstream_unreachable');
    restarted = await startEverything(restarted.port);
    const again = await besides(call('restarted__echo', { message: 'again' }));
    expect(again.content[0]?.text).toContain('again');
  });

  it('does not answer is given up after its connection’s call_timeout', async () => {
    expectToldClearly(await besides(call('slow__wait')), 'slow', 'timeout');
  });

  it('lies about its schemas is handed on as it is, and harms no other', async () => {
    const lie = await besides(call('lying__lie'));
    expect(lie).toMatchObject({ content: [{ text: 'three' }], structuredContent: { n: 'three' } });
    const { tools } = await client.listTools();
    const pattern = tools.find(({ name }) => name === 'lying__broken')?.inputSchema;
    expect(pattern).toEqual({ type: 'object', properties: { x: { type: 'string', pattern: '(' } } });
  });

  it('has 5,000 tools is listed whole, each of them callable', async () => {
    const { tools } = await client.listTools();
    expect(tools.filter(({ name }) => name.startsWith('many__'))).toHaveLength(MANY);
    expect((await besides(call(`many__t${MANY - 1}`))).content[0]?.text).toBe(`called t${MANY - 1}`);
  });

  it('answers with 10 MiB is carried to the last byte', async () => {
    const { content } = await besides(call('large__dump'));
    expect(content[0]?.text.length).toBe(LARGE);
  });

  it.each(['html', 'half'])('answers with garbage (%s) is told clearly, and not quoted', async (name) => {
    expectToldClearly(await besides(call(`garbage__${name}`)), 'garbage', 'upstream_failed');
  });

  it('hangs up is told as unknown in its outcome', async () => {
    const told = await besides(call('garbage__drop'));
    expectToldClearly(told, 'garbage', 'upstream_unreachable');
    expect(told.content[0]?.text).toContain('may have been carried out');
  });

  it('speaks no HTTP is told by the Test, and not quoted', async () => {
    const params = { kind: 'mcp', name: 'noise' };
    const told = await besides(platform.api.testConnection({ params }));
    expect(told).toMatchObject({ ok: false });
    expectNothingLeaked(told);
  });
});
