import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type EraUpstream, startEraUpstream } from './era-upstream.ts';
import { connection, type Gateway, openGateway } from './gateway.ts';

type Era = 'legacy' | 'modern';
type Answered = { content: Array<{ type: string; text?: string }> };

const ERAS: Era[] = ['legacy', 'modern'];
const PAIRS = ERAS.flatMap((client) => ERAS.map((upstream) => [client, upstream] as const));
const CAPABILITIES = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

async function connect(url: string, era: Era, capabilities: Record<string, unknown> = CAPABILITIES): Promise<Client> {
  const mode = era === 'modern' ? 'auto' : 'legacy';
  const client = new Client({ name: 'test', version: '1' }, { capabilities, versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  expect(client.getProtocolEra()).toBe(era);
  return client;
}

const said = (result: unknown) => JSON.parse((result as Answered).content[0]?.text ?? 'null') as unknown;

describe.each(PAIRS)('a %s client of a %s upstream', (clientEra, upstreamEra) => {
  let upstream: EraUpstream;
  let gateway: Gateway;
  let client: Client;
  let merged: Client;
  const asked: Array<Record<string, unknown>> = [];

  beforeAll(async () => {
    upstream = await startEraUpstream(upstreamEra);
    gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
    await vi.waitFor(() => expect(gateway.names()).toContain('up__ask'), { timeout: 10_000 });
    client = await connect(`${gateway.url}/up`, clientEra);
    merged = await connect(gateway.url, clientEra);
    for (const one of [client, merged]) {
      one.setRequestHandler('elicitation/create', (request) => {
        asked.push(request.params as never);
        const form = request.params.mode !== 'url';
        return { action: 'accept', ...(form ? { content: { name: 'Ada' } } : {}) };
      });
      one.setRequestHandler('sampling/createMessage', () => ({
        role: 'assistant',
        model: 'm',
        content: { type: 'text', text: 'Hello' },
      }));
      one.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///home', name: 'home' }] }));
    }
  });

  afterAll(async () => {
    await Promise.allSettled([client?.close(), merged?.close()]);
    await gateway?.close();
    await upstream?.close();
  });

  it('sees the upstream as it is at the address of its connection', async () => {
    expect(client.getServerVersion()).toMatchObject({ name: 'era-upstream', version: '9.9.9', title: 'Of one era' });
    expect(client.getInstructions()).toBe('As upstream says.');
    expect(client.getServerCapabilities()).toMatchObject({
      prompts: {},
      completions: {},
      resources: { subscribe: true },
    });
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('ask_twice');
    const [prompt] = (await client.listPrompts()).prompts;
    expect(prompt).toMatchObject({ name: 'greet' });
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toEqual(['file:///note', 'ui://app/page']);
    expect((await client.listResourceTemplates()).resourceTemplates[0]?.uriTemplate).toBe('file:///{path}');
    expect((await client.readResource({ uri: 'file:///x' })).contents[0]).toMatchObject({ uri: 'file:///x' });
  });

  it('finds prompts and resources in the merged list under names and addresses that lead back', async () => {
    expect(merged.getServerVersion()?.name).toBe('mcp-data-platform');
    expect((await merged.listPrompts()).prompts.map(({ name }) => name)).toEqual(['up__greet']);
    const answer = await merged.getPrompt({ name: 'up__greet', arguments: { who: 'Ada' } });
    expect(answer).toMatchObject({
      description: 'Ada',
      messages: [{ content: { resource: { uri: 'mcp+up+file:///note', text: 'n' } } }],
    });
    const { resources } = await merged.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual(['mcp+up+file:///note', 'ui://up/app/page']);
    const read = await merged.readResource({ uri: 'ui://up/app/page' });
    expect(read.contents[0]).toMatchObject({ uri: 'ui://up/app/page', text: 'read ui://app/page' });
    const [template] = (await merged.listResourceTemplates()).resourceTemplates;
    expect(template?.uriTemplate).toBe('mcp+up+file:///{path}');
    const tool = (await merged.listTools()).tools.find(({ name }) => name === 'up__ask');
    expect(tool?._meta).toMatchObject({ ui: { resourceUri: 'ui://up/app/page' } });
    const linked = await merged.callTool({ name: 'up__link' });
    expect(linked.content).toEqual([
      { type: 'resource_link', uri: 'mcp+up+file:///note', name: 'note' },
      { type: 'text', text: 'file:///note' },
    ]);
    const ref = { type: 'ref/prompt' as const, name: 'up__greet' };
    const { completion } = await merged.complete({ ref, argument: { name: 'who', value: 'A' } });
    expect(JSON.parse(completion.values[0] ?? '')).toEqual({ type: 'ref/prompt', name: 'greet' });
  });

  it('gets -32602 for a resource that nobody has', async () => {
    await expect(client.readResource({ uri: 'file:///none' })).rejects.toMatchObject({ code: -32602 });
    await expect(merged.readResource({ uri: 'file:///note' })).rejects.toMatchObject({ code: -32602 });
    await expect(merged.readResource({ uri: 'mcp+gone+file:///note' })).rejects.toMatchObject({ code: -32602 });
  });

  it('is asked in the midst of a call: a form, a sample, its roots', async () => {
    expect(said(await merged.callTool({ name: 'up__ask' }))).toMatchObject({
      action: 'accept',
      content: { name: 'Ada' },
    });
    expect(asked.at(-1)).toMatchObject({ message: 'Who?' });
    expect(said(await client.callTool({ name: 'sample' }))).toMatchObject({ model: 'm', content: { text: 'Hello' } });
    expect(said(await client.callTool({ name: 'roots' }))).toMatchObject({ roots: [{ uri: 'file:///home' }] });
  });

  it('is asked as often as the upstream wants, one round after the other', async () => {
    const before = asked.length;
    const rounds = said(await client.callTool({ name: 'ask_twice' })) as unknown[];
    expect(rounds.at(-1)).toEqual({ action: 'accept', content: { name: 'Ada' } });
    expect(asked.length - before).toBe(2);
  });

  it('is asked to open a URL, also where the upstream refuses until it has been opened', async () => {
    expect(said(await client.callTool({ name: 'open_url' }))).toMatchObject({ action: 'accept' });
    expect(asked.at(-1)).toMatchObject({ mode: 'url', url: 'https://upstream.example/sign-in' });
    const first = client.callTool({ name: 'open_url_first' });
    if (clientEra === 'legacy' && upstreamEra === 'legacy') await expect(first).rejects.toMatchObject({ code: -32042 });
    else await expect(first).resolves.toMatchObject({ content: [{ type: 'text' }] });
  });

  it('is never asked what it has not declared', async () => {
    const mute = await connect(`${gateway.url}/up`, clientEra, {});
    const answer = mute.callTool({ name: 'ask' });
    await expect(answer).rejects.toMatchObject({ code: expect.any(Number) as number });
    await mute.close();
  });

  it('hears log messages of its calls at the level that it asked for, and no others', async () => {
    const heard: unknown[] = [];
    client.setNotificationHandler('notifications/message', ({ params }) => void heard.push(params.data));
    const loud = 'error';
    const level = (value: string) =>
      clientEra === 'legacy' ? {} : { _meta: { 'io.modelcontextprotocol/logLevel': value } };
    if (clientEra === 'legacy') await client.setLoggingLevel(loud);
    await client.callTool({ name: 'log', ...level(loud) });
    if (clientEra === 'legacy') await client.setLoggingLevel('info');
    await client.callTool({ name: 'log', ...level('info') });
    await vi.waitFor(() => expect(heard).toEqual(['careful']));
  });

  it('hears of an updated resource that it follows, under the address that it knows', async () => {
    const heard: string[] = [];
    merged.setNotificationHandler('notifications/resources/updated', ({ params }) => void heard.push(params.uri));
    const uri = 'mcp+up+file:///note';
    if (clientEra === 'legacy') await merged.subscribeResource({ uri });
    else await merged.listen({ resourceSubscriptions: [uri] });
    await vi.waitFor(() => {
      upstream.touch('file:///note');
      expect(heard).toContain(uri);
    });
  });

  it('hears that the tools of an upstream changed, at both addresses', async () => {
    const told = [vi.fn(), vi.fn()];
    for (const [index, one] of [client, merged].entries()) {
      one.setNotificationHandler('notifications/tools/list_changed', told[index] as () => void);
      if (clientEra === 'modern') await one.listen({ toolsListChanged: true });
    }
    upstream.grow('newcomer');
    await vi.waitFor(() => expect(gateway.names()).toContain('up__newcomer'));
    await vi.waitFor(() => {
      for (const one of told) expect(one).toHaveBeenCalled();
    });
  });
});
