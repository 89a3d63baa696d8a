import { afterEach, describe, expect, it, vi } from 'vitest';
import { LIST_BOUNDS } from '../../src/toolkits/mcp/upstream-list.ts';
import { type LegacyFake, startLegacyFake } from '../toolkits/legacy-fake.ts';
import { type AnyClient, connectV1, connectV2 } from './clients.ts';
import { connection, type Gateway, openGateway } from './gateway.ts';
import { rawModern } from './raw-modern.ts';
import { startRaw } from './upstreams.ts';

type Params = Record<string, unknown>;

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

const result = (text: string) => ({ content: [{ type: 'text', text }] });
const OBJECT = { type: 'object' };
const CONTROLS = 'line\nbreak\u001b[31m"\u007f';

/** What each tool sends before its answer, given the id of the request; `after`: behind it. */
const STRAY: Record<string, { before?(id: number): Params[]; after?(id: number): Params[] }> = {
  fine: {},
  progress_of_nobody: {
    before: () =>
      [7, 'x', null, { a: 1 }, [1], undefined, 1e300].map((progressToken) => ({
        method: 'notifications/progress',
        params: { progressToken, progress: 1 },
      })),
  },
  progress_in_words: {
    before: (id) => [{ method: 'notifications/progress', params: { progressToken: id, progress: 'half' } }],
  },
  answers_nobody: {
    before: () => ['x', 4_711, null, { a: 1 }, -1, 1.5].map((id) => ({ id, result: result('nobody') })),
  },
  answers_early: {
    before: (id) => Array.from({ length: 20 }, (_, index) => ({ id: id + 1 + index, result: result('early') })),
  },
  answers_twice: {
    after: (id) => [
      { id, result: result('again') },
      { id, error: { code: 1, message: 'again' } },
    ],
  },
  params_in_words: {
    before: () => ['x', 5, null, [1]].map((params) => ({ method: 'notifications/message', params })),
  },
  unknown_methods: {
    before: () => [
      { method: 'notifications/none', params: {} },
      { id: 'q', method: 'none', params: {} },
      { method: 5 },
    ],
  },
  cancels_nobody: {
    before: (id) =>
      ['x', id, null, {}].map((requestId) => ({ method: 'notifications/cancelled', params: { requestId } })),
  },
  no_message: { before: () => [{}, { id: null }, { result: 5 }] },
};

async function gatewayBefore(): Promise<{ gateway: Gateway; upstream: LegacyFake }> {
  const upstream = await startLegacyFake(async ({ method, id, params }, stream) => {
    if (method === 'tools/list') {
      stream.send({ id, result: { tools: Object.keys(STRAY).map((name) => ({ name, inputSchema: OBJECT })) } });
    } else {
      const { before, after } = STRAY[String(params.name)] ?? {};
      for (const message of before?.(Number(id)) ?? []) stream.send(message);
      for (const text of ['data: not json\n\n', 'data: 5\n\n', 'data: [[]]\n\n', 'event: none\ndata: {}\n\n']) {
        stream.raw(text);
      }
      stream.send({ id, result: result(String(params.name)) });
      for (const message of after?.(Number(id)) ?? []) stream.send(message);
    }
    stream.end();
  });
  cleanup.push(upstream.close);
  const gateway = await openGateway({
    connections: [connection('up', { endpoint: upstream.url, call_timeout: '5s' })],
  });
  cleanup.push(gateway.close);
  await vi.waitFor(() => expect(gateway.names()).toHaveLength(Object.keys(STRAY).length), 20_000);
  return { gateway, upstream };
}

describe('messages of an upstream that belong to nothing', () => {
  it.each<[string, (url: string) => Promise<AnyClient>]>([
    ['a modern client', (url) => connectV2(url)],
    ['a legacy client', (url) => connectV2(url, 'legacy')],
    ['a client of the older SDK', (url) => connectV1(url)],
  ])(
    'change no answer that %s gets, and no later one',
    async (_, connect) => {
      const { gateway } = await gatewayBefore();
      for (const [url, prefix] of [
        [gateway.url, 'up__'],
        [`${gateway.url}/up`, ''],
      ]) {
        const client = await connect(String(url));
        for (const name of Object.keys(STRAY)) {
          const onprogress = vi.fn();
          const called = await client.call(`${prefix}${name}`, {}, { onprogress });
          expect(called.content, name).toEqual(result(name).content);
          expect(onprogress, name).not.toHaveBeenCalled();
          expect((await client.call(`${prefix}fine`)).content, name).toEqual(result('fine').content);
        }
        const names = Object.keys(STRAY);
        const all = await Promise.all(names.map((name) => client.call(`${prefix}${name}`)));
        expect(all.map(({ content }) => content?.[0]?.text)).toEqual(names);
        await client.close();
      }
    },
    60_000,
  );
});

describe('an upstream whose list is odd', () => {
  const ODD = [
    { inputSchema: OBJECT },
    { name: 5, inputSchema: OBJECT },
    { name: '', inputSchema: OBJECT },
    { name: { a: 1 }, inputSchema: OBJECT },
    'a tool',
    null,
    { name: CONTROLS, inputSchema: OBJECT },
    { name: 'schema_true', inputSchema: true },
    { name: 'schema_list', inputSchema: [] },
    { name: 'schema_none' },
    { name: 'fine', inputSchema: OBJECT },
    { name: 'fine', inputSchema: OBJECT, description: 'the second of its name' },
  ];

  it('costs nobody the tools that can be read, whatever names and schemas the others have', async () => {
    const upstream = await startRaw(({ method, params }) =>
      method === 'tools/list' ? { result: { tools: ODD, nextCursor: 5 } } : { result: result(String(params.name)) },
    );
    cleanup.push(upstream.close);
    const gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
    cleanup.push(gateway.close);
    await vi.waitFor(() => expect(gateway.names()).toContain('up__fine'), 20_000);
    expect(gateway.names()).toEqual([
      expect.stringMatching(/^up__line_break/),
      'up__schema_true',
      'up__schema_list',
      'up__schema_none',
      'up__fine',
    ]);
    for (const name of gateway.names()) expect(name).toMatch(/^[\w-]{1,60}$/);
    for (const connect of [connectV1, connectV2]) {
      const client = await connect(gateway.url);
      const tools = await client.tools();
      expect(tools.map(({ name }) => name)).toEqual(gateway.names());
      for (const { inputSchema } of tools) expect(inputSchema).toMatchObject(OBJECT);
      expect((await client.call(String(gateway.names()[0]))).content?.[0]?.text).toBe(CONTROLS);
      await client.close();
    }
    const own = await rawModern(
      `${gateway.url}/up`,
      'tools/call',
      { name: CONTROLS },
      { headers: { 'mcp-name': `=?base64?${Buffer.from(CONTROLS).toString('base64')}?=` } },
    );
    expect(own.result?.content).toEqual(result(CONTROLS).content);
  }, 60_000);

  it.each<[string, (cursor: unknown, count: number) => unknown]>([
    ['the same cursor for ever', () => 'again'],
    ['an empty cursor for ever', () => ''],
    ['two cursors in turn', (_, count) => (count % 2 === 0 ? 'a' : 'b')],
    ['another cursor each time', (_, count) => `c${count}`],
  ])(
    'is left alone after a bounded number of pages, and others are served: %s',
    async (_, next) => {
      let asked = 0;
      const endless = await startRaw(({ params: { cursor } }) => {
        asked += 1;
        return { result: { tools: [{ name: 'e', inputSchema: OBJECT }], nextCursor: next(cursor, asked) } };
      });
      const fine = await startRaw(({ method }) =>
        method === 'tools/list'
          ? { result: { tools: [{ name: 'fine', inputSchema: OBJECT }] } }
          : { result: result('ok') },
      );
      cleanup.push(endless.close, fine.close);
      const gateway = await openGateway({
        connections: [connection('endless', { endpoint: endless.url }), connection('fine', { endpoint: fine.url })],
        settings: { retry_min: 600_000, retry_max: 600_000 },
      });
      cleanup.push(gateway.close);
      await vi.waitFor(() => {
        expect(gateway.names()).toContain('fine__fine');
        const { listed_at, last_error } = gateway.catalog.status({ kind: 'mcp', name: 'endless' }) ?? {};
        expect(listed_at ?? last_error?.code).toBeTruthy();
      }, 20_000);
      expect(asked).toBeLessThanOrEqual(LIST_BOUNDS.pages);
      expect((await rawModern(gateway.url, 'tools/call', { name: 'fine__fine' })).result?.content).toEqual(
        result('ok').content,
      );
    },
    60_000,
  );
});
