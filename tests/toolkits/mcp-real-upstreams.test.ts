import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { type Process, programs, startEverything, startEverythingSse, startModernMemory } from '../mcp/upstreams.ts';
import { aCall, aClient, openUpstream } from './mcp-context.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterAll(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'upstream-'));
  cleanup.push(() => rm(made, { recursive: true, force: true }));
  return made;
}

function opened(config: Record<string, unknown>): ToolkitConnection {
  const connection = openUpstream(config);
  cleanup.push(() => connection.close());
  return connection;
}

async function running(started: Promise<Process>): Promise<string> {
  const process = await started;
  cleanup.push(() => process.kill());
  return process.url;
}

const names = (result: Record<string, unknown>, key: string): string[] =>
  (result[key] as Array<Record<string, string>>).map((item) => String(item.name));

describe.each([
  ['Streamable HTTP', async () => ({ endpoint: await running(startEverything()) })],
  ['HTTP+SSE, found out by itself', async () => ({ endpoint: await running(startEverythingSse()) })],
  ['HTTP+SSE, as configured', async () => ({ endpoint: await running(startEverythingSse()), transport: 'sse' })],
  ['stdio', async () => programs.everything()],
])('server-everything over %s', (_transport, config) => {
  let upstream: ToolkitConnection;
  beforeAll(async () => {
    upstream = opened(await config());
  }, 30_000);
  const ask = (method: string, params: Record<string, unknown> = {}, call = aCall()) =>
    upstream.request(method, params, call);
  const callTool = (name: string, args: Record<string, unknown>, call = aCall()) =>
    ask('tools/call', { name, arguments: args }, call);

  it('lists everything that it offers, tools for clients with other capabilities, too (lesson 39)', async () => {
    const tools = names(await ask('tools/list'), 'tools');
    expect(tools).toEqual(expect.arrayContaining(['echo', 'get-roots-list', 'trigger-sampling-request']));
    expect(tools).toEqual(expect.arrayContaining(['trigger-elicitation-request', 'trigger-url-elicitation']));
    expect(names(await ask('prompts/list'), 'prompts')).toContain('simple-prompt');
    expect((await ask('resources/list')).resources).toHaveLength(7);
    expect((await ask('resources/templates/list')).resourceTemplates).toHaveLength(2);
    expect(await ask('server/discover')).toMatchObject({
      capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {} },
      serverInfo: { name: expect.stringContaining('everything') },
      instructions: expect.any(String),
    });
  });

  it('gets prompts, reads resources, completes arguments', async () => {
    const prompt = await ask('prompts/get', { name: 'simple-prompt' });
    expect(prompt.messages).toMatchObject([{ role: 'user' }]);
    const { resources } = (await ask('resources/list')) as { resources: Array<{ uri: string }> };
    const read = await ask('resources/read', { uri: resources[0]?.uri });
    expect(read.contents).toMatchObject([{ uri: resources[0]?.uri }]);
    const completed = await ask('completion/complete', {
      ref: { type: 'ref/prompt', name: 'completable-prompt' },
      argument: { name: 'department', value: 'E' },
    });
    expect(completed.completion).toMatchObject({ values: ['Engineering'] });
  });

  it('carries images, structured content, links and progress', async () => {
    expect((await callTool('get-tiny-image', {})).content).toMatchObject([{}, { type: 'image' }, {}]);
    const weather = await callTool('get-structured-content', { location: 'Chicago' });
    expect(weather.structuredContent).toMatchObject({ temperature: expect.any(Number) });
    expect((await callTool('get-resource-links', { count: 2 })).content).toMatchObject([
      { type: 'text' },
      { type: 'resource_link' },
      { type: 'resource_link' },
    ]);
    const onprogress = vi.fn();
    await callTool('trigger-long-running-operation', { duration: 0.2, steps: 4 }, aCall({ onprogress }));
    expect(onprogress.mock.calls.map(([{ progress }]) => progress)).toEqual([1, 2, 3, 4]);
  });

  it.each([
    ['holds a session with us', true],
    ['does not', false],
  ])('asks the client of a call, whether it %s', async (_what, session) => {
    const ended = new AbortController();
    const client = aClient(
      { sampling: {}, elicitation: { form: {} }, roots: {} },
      {
        'sampling/createMessage': { role: 'assistant', model: 'm', content: { type: 'text', text: 'sampled' } },
        'elicitation/create': { action: 'accept', content: { name: 'Ada' } },
        'roots/list': { roots: [{ uri: 'file:///srv/work', name: 'work' }] },
      },
      session ? { session: { id: 's1', ended: ended.signal } } : {},
    );
    const sampled = await callTool('trigger-sampling-request', { prompt: 'hello' }, aCall({ client }));
    expect(JSON.stringify(sampled)).toContain('sampled');
    const elicited = await callTool('trigger-elicitation-request', {}, aCall({ client }));
    expect(JSON.stringify(elicited)).toContain('Ada');
    const roots = await callTool('get-roots-list', {}, aCall({ client }));
    expect(JSON.stringify(roots)).toContain('file:///srv/work');
    expect(client.asked.map(({ method }) => method)).toEqual(
      expect.arrayContaining(['sampling/createMessage', 'elicitation/create', 'roots/list']),
    );
    ended.abort();
  });

  it('tells clearly what a client without the capability cannot have', async () => {
    const refused = await callTool('trigger-sampling-request', { prompt: 'x' }, aCall({ client: aClient({}) })).then(
      (result) => JSON.stringify(result),
      (error: Error) => error.message,
    );
    expect(refused).toContain('does not support sampling');
  });

  it('sends log messages of the level that the client set to that client', async () => {
    const ended = new AbortController();
    const client = aClient({}, {}, { log_level: 'debug', session: { id: 's2', ended: ended.signal } });
    await callTool('toggle-simulated-logging', {}, aCall({ client }));
    await vi.waitFor(() => expect(client.told).toMatchObject([{ method: 'notifications/message' }]), 5_000);
    await callTool('toggle-simulated-logging', {}, aCall({ client }));
    ended.abort();
  });

  it('tells of changes of a resource for as long as somebody follows it', async () => {
    const { resources } = (await ask('resources/list')) as { resources: Array<{ uri: string }> };
    const uri = String(resources[0]?.uri);
    const leave = new AbortController();
    const [one, two] = [vi.fn(), vi.fn()];
    await upstream.subscribe?.(uri, one, leave.signal);
    await upstream.subscribe?.(uri, two, leave.signal);
    await callTool('toggle-subscriber-updates', {});
    await vi.waitFor(() => expect(one).toHaveBeenCalledWith({ uri }), 8_000);
    expect(two).toHaveBeenCalledWith({ uri });
    leave.abort();
    await callTool('toggle-subscriber-updates', {});
  });
});

describe('other servers from npm', () => {
  it('server-filesystem, a program', async () => {
    const allowed = await folder();
    await writeFile(join(allowed, 'a.txt'), 'hello');
    const upstream = opened(programs.filesystem(allowed));
    const tools = (await upstream.request('tools/list', {}, aCall())).tools as Array<Record<string, unknown>>;
    expect(tools).toHaveLength(14);
    expect(tools.every((tool) => tool.outputSchema && tool.annotations)).toBe(true);
    const params = { name: 'read_text_file', arguments: { path: join(allowed, 'a.txt') } };
    expect((await upstream.request('tools/call', params, aCall())).structuredContent).toEqual({ content: 'hello' });
  });

  it('server-memory, a program', async () => {
    const upstream = opened(programs.memory(join(await folder(), 'memory.jsonl')));
    expect(names(await upstream.request('tools/list', {}, aCall()), 'tools')).toHaveLength(9);
    const result = await upstream.request('tools/call', { name: 'read_graph', arguments: {} }, aCall());
    expect(result.structuredContent).toEqual({ entities: [], relations: [] });
  });

  it('mcp-proxy, of the modern era', async () => {
    const upstream = opened({ endpoint: await running(startModernMemory()) });
    expect(names(await upstream.request('tools/list', {}, aCall()), 'tools')).toHaveLength(9);
    expect(await upstream.request('server/discover', {}, aCall())).toMatchObject({ capabilities: { tools: {} } });
    expect((await upstream.request('resources/list', {}, aCall())).resources).toEqual(expect.any(Array));
  });
});
