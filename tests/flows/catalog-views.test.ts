import { afterEach, describe, expect, it, vi } from 'vitest';
import { accessRules } from '../../src/core/access-rule.ts';
import { AppError } from '../../src/core/errors.ts';
import type { CatalogChange } from '../../src/flows/catalog-api.ts';
import {
  connection,
  EVERYTHING,
  entry,
  type Gateway,
  type GatewayOptions,
  MemoryNotifier,
  MemoryStores,
  openGateway,
  PRINCIPAL,
} from '../mcp/gateway.ts';
import { type FakeUpstream, fakeToolkit, fakeUpstream, tool } from './fake-toolkit.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function catalogOf(upstreams: Record<string, FakeUpstream>, options: GatewayOptions = {}): Promise<Gateway> {
  const known = new Map(Object.entries(upstreams));
  const gateway = await openGateway({
    toolkits: [
      fakeToolkit('one', known),
      fakeToolkit('two', known),
      fakeToolkit('same', known, { argument: 'connection' }),
    ],
    connections: [...known.keys()].map((name) => connection(name, {}, 'one')),
    ...options,
  });
  cleanup.push(gateway.close);
  return gateway;
}

function whole(): FakeUpstream {
  const upstream = fakeUpstream(tool('x'));
  upstream.answers = {
    'server/discover': {
      capabilities: { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {}, tasks: {} },
      serverInfo: { name: 'theirs', version: '7' },
      instructions: 'Be kind.',
    },
    'prompts/list': { prompts: [{ name: 'greet' }] },
    'resources/list': { resources: [{ uri: 'file:///a', name: 'a' }] },
    'resources/templates/list': { resourceTemplates: [{ uriTemplate: 'file:///{p}', name: 'any' }] },
  };
  return upstream;
}

const may = (patterns: Parameters<typeof accessRules>[0]) => ({
  principal: { ...PRINCIPAL, access: accessRules(patterns) },
  connection: undefined,
});
const named = (items: readonly { name?: unknown }[]) => items.map(({ name }) => name);

describe('what a principal sees', () => {
  it('is what its rules permit, tool by tool; prompts and resources only of a connection that is not cut down', async () => {
    const gateway = await catalogOf({ a: whole(), b: whole(), c: whole() });
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(3));
    const view = gateway.catalog.view(may({ allow: ['one/a', 'one/b:x'] }));
    expect(named(view.tools)).toEqual(['a__x', 'b__x']);
    expect(named(view.prompts)).toEqual(['a__greet']);
    expect(view.resource('mcp+b+file:///a')).toBeUndefined();
    const key = { kind: 'one', name: 'c' };
    expect(view.tool('c__x', {})).toEqual({ found: false, reason: 'denied', key, tool: 'x' });
    expect(view.tool('c__z', {})).toEqual({ found: false, reason: 'unknown' });
    const alone = gateway.catalog.view({ ...may({ allow: ['one/b:x'] }), connection: { kind: 'one', name: 'b' } });
    expect(alone.about.capabilities).toEqual({ tools: { listChanged: true } });
    expect(alone.tool('y', {})).toMatchObject({ found: false });
    expect(gateway.catalog.connectionAt('c', may({ allow: ['one/a'] }).principal)).toBeUndefined();
  });

  it('is the same object until something changes', async () => {
    const gateway = await catalogOf({ a: whole() });
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(1));
    expect(gateway.catalog.view(EVERYTHING)).toBe(gateway.catalog.view({ ...EVERYTHING }));
  });

  it('declares all that a connection may come to offer, and of one connection what it declares, but for tasks', async () => {
    const gateway = await catalogOf({ a: whole(), b: fakeUpstream(tool('y')) }, { connections: [] });
    const listChanged = true;
    const anything = {
      tools: { listChanged },
      prompts: { listChanged },
      resources: { subscribe: true, listChanged },
      completions: {},
      logging: {},
    };
    expect(gateway.catalog.view(EVERYTHING).about.capabilities).toEqual(anything);
    for (const name of ['a', 'b']) gateway.add(connection(name, {}, 'one'));
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(2));
    expect(gateway.catalog.view(EVERYTHING).about.capabilities).toEqual(anything);
    const one = gateway.catalog.view({ ...EVERYTHING, connection: { kind: 'one', name: 'a' } });
    expect(one.about).toMatchObject({ serverInfo: { name: 'theirs', version: '7' }, instructions: 'Be kind.' });
    expect(one.about.capabilities).not.toHaveProperty('tasks');
    const other = gateway.catalog.view({ ...EVERYTHING, connection: { kind: 'one', name: 'b' } });
    expect(other.about.capabilities).toEqual({ tools: { listChanged } });
  });
});

describe('a kind whose connections offer the same tools', () => {
  const shared = () => [connection('a', {}, 'same'), connection('b', {}, 'same')];
  const find = () =>
    fakeUpstream(tool('find', { inputSchema: { type: 'object', required: ['q'], properties: { q: {} } } }));

  it('publishes each once, without a prefix, with an argument that names the connection', async () => {
    const upstreams = { a: find(), b: find() };
    const gateway = await catalogOf(upstreams, { connections: shared() });
    await vi.waitFor(() => {
      const [one, ...more] = gateway.catalog.view(EVERYTHING).tools;
      expect(more).toEqual([]);
      expect(one).toMatchObject({
        name: 'find',
        inputSchema: {
          required: ['connection', 'q'],
          properties: { connection: { type: 'string', enum: ['a', 'b'] } },
        },
      });
    });
    const call = (args: Record<string, unknown>) =>
      gateway.toolCall.call(
        EVERYTHING,
        'tools/call',
        { name: 'find', arguments: args },
        { signal: AbortSignal.any([]) },
      );
    await call({ connection: 'b', q: 1 });
    expect(upstreams.b.calls.at(-1)).toMatchObject({
      method: 'tools/call',
      params: { name: 'find', arguments: { q: 1 } },
    });
    expect(await call({ q: 1 })).toMatchObject({
      result: { isError: true, content: [{ text: expect.stringContaining('a, b') as string }] },
    });
    expect(await call({ connection: 'c' })).toMatchObject({ result: { isError: true } });
  });

  it('names only the connections that the principal may use, and none at the address of one of them', async () => {
    const gateway = await catalogOf({ a: find(), b: find() }, { connections: shared() });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['find']));
    const [one] = gateway.catalog.view(may({ allow: ['same/b'] })).tools;
    expect(one).toMatchObject({ inputSchema: { properties: { connection: { enum: ['b'] } } } });
    const [alone] = gateway.catalog.view({ ...EVERYTHING, connection: { kind: 'same', name: 'a' } }).tools;
    expect(alone?.inputSchema).toEqual({ type: 'object', required: ['q'], properties: { q: {} } });
  });

  it('is healthy by its calls alone: a listing asks no upstream, a new token gives it another chance', async () => {
    const upstream = find();
    const { key } = connection('a', {}, 'same');
    const gateway = await catalogOf({ a: upstream }, { connections: [connection('a', {}, 'same')] });
    await vi.waitFor(() => expect(gateway.catalog.status(key)?.tools).toBe(1));
    expect(gateway.catalog.status(key)).toMatchObject({ state: 'ok', last_success_at: null });
    const call = () =>
      gateway.toolCall.call(
        EVERYTHING,
        'tools/call',
        { name: 'find', arguments: { connection: 'a' } },
        { signal: AbortSignal.any([]) },
      );
    upstream.fail = new AppError('needs_person', 'same/a: it is not connected. Connect it in the portal.');
    await call();
    upstream.fail = undefined;
    const listings = () => upstream.calls.filter(({ method }) => method === 'tools/list').length;
    const before = listings();
    gateway.catalog.refresh(key);
    await vi.waitFor(() => expect(listings()).toBeGreaterThan(before));
    expect(gateway.catalog.status(key)).toMatchObject({ state: 'needs_person', last_success_at: null });
    await gateway.notifier.publish('credentials', 'same/a');
    await vi.waitFor(() => expect(gateway.catalog.status(key)).toMatchObject({ state: 'ok', last_success_at: null }));
    await call();
    expect(gateway.catalog.status(key)?.last_success_at).not.toBeNull();
  });
});

describe('the address of a connection', () => {
  it('is its name; a connection of another kind that came later carries its kind, and keeps that', async () => {
    const upstream = fakeUpstream(tool('x'));
    const memory = new MemoryStores();
    const first = connection('a', {}, 'one');
    const second = connection('a', {}, 'two');
    const gateway = await catalogOf({ a: upstream }, { memory, connections: [first, second] });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x', 'a-two__x']));
    const at = (name: string) => gateway.catalog.connectionAt(name, PRINCIPAL);
    expect([at('a'), at('a-two'), at('b')]).toEqual([first.key, second.key, undefined]);
    memory.connections.delete('one/a');
    await gateway.notifier.publish('connections', 'one/a');
    await vi.waitFor(() => expect(at('a')).toBeUndefined());
    expect(at('a-two')).toEqual(second.key);
    expect((await fetch(`${gateway.url}/nobody`, { method: 'POST' })).status).toBe(404);
  });
});

describe('a tool of a connection that was never listed', () => {
  it('is answered with what keeps the connection from being listed', async () => {
    const upstream = fakeUpstream();
    upstream.fail = new AppError('needs_person', 'Connect it.');
    const gateway = await catalogOf({ a: upstream });
    await vi.waitFor(() => expect(gateway.catalog.status({ kind: 'one', name: 'a' })?.state).toBe('needs_person'));
    const call = (
      viewer: typeof EVERYTHING | { principal: typeof PRINCIPAL; connection: { kind: string; name: string } },
      name: string,
    ) => gateway.toolCall.call(viewer, 'tools/call', { name }, { signal: AbortSignal.any([]) });
    const told = {
      result: { isError: true, structuredContent: { error: { code: 'needs_person', action: 'connect' } } },
    };
    expect(await call(EVERYTHING, 'a__anything')).toMatchObject(told);
    expect(await call({ principal: PRINCIPAL, connection: { kind: 'one', name: 'a' } }, 'anything')).toMatchObject(
      told,
    );
    expect(await call(EVERYTHING, 'b__anything')).toMatchObject({ type: 'unknown' });
  });
});

describe('what changed', () => {
  it('is told list by list, to those who see the connection', async () => {
    const upstream = whole();
    const gateway = await catalogOf({ a: upstream });
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(1));
    const told: CatalogChange[] = [];
    gateway.catalog.onChange((changes) => told.push(...changes));
    upstream.answers['prompts/list'] = { prompts: [{ name: 'greet' }, { name: 'leave' }] };
    upstream.changed('prompts');
    await vi.waitFor(() => expect(told).toHaveLength(1));
    expect(gateway.catalog.concerns(EVERYTHING, told)).toEqual(['prompts']);
    expect(gateway.catalog.concerns(may({ allow: ['one/b'] }), told)).toEqual([]);
    expect(upstream.calls.filter(({ method }) => method === 'tools/list')).toHaveLength(1);
  });

  it('reaches the other replicas through what is stored, without a listing of theirs', async () => {
    const memory = new MemoryStores();
    const notifier = new MemoryNotifier();
    const one = connection('a', {}, 'one');
    const [here, there] = [whole(), whole()];
    const options = { memory, notifier, connections: [one] };
    const first = await catalogOf({ a: here }, options);
    const second = await catalogOf({ a: there }, options);
    await vi.waitFor(() => expect([first.names(), second.names()]).toEqual([['a__x'], ['a__x']]));
    const listed = there.calls.length;
    here.tools = [tool('x'), tool('new')];
    here.changed('tools');
    await vi.waitFor(() => expect(second.names()).toEqual(['a__x', 'a__new']));
    expect(there.calls).toHaveLength(listed);
  });
});

describe('the health of a connection', () => {
  it('tells the last success and the last failure of listings and calls', async () => {
    const upstream = fakeUpstream(tool('x'));
    const gateway = await catalogOf({ a: upstream });
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(1));
    const status = () => gateway.catalog.status({ kind: 'one', name: 'a' });
    expect(status()).toMatchObject({ state: 'ok', last_success_at: expect.any(Number) as number, last_error: null });
    upstream.fail = new AppError('upstream_unreachable', 'It is down.');
    await gateway.toolCall.call(EVERYTHING, 'tools/call', { name: 'a__x' }, { signal: AbortSignal.any([]) });
    expect(status()).toMatchObject({
      state: 'unavailable',
      last_error: { code: 'upstream_unreachable', message: 'It is down.', at: expect.any(Number) as number },
    });
    upstream.fail = undefined;
    await gateway.toolCall.call(EVERYTHING, 'tools/call', { name: 'a__x' }, { signal: AbortSignal.any([]) });
    expect(status()).toMatchObject({ state: 'ok', error: null, last_error: { code: 'upstream_unreachable' } });
  });

  it('survives a restart in its lists: prompts and resources are last known, too', async () => {
    const memory = new MemoryStores();
    const known = connection('a', {}, 'one');
    const down = fakeUpstream();
    down.fail = new AppError('upstream_unreachable', 'It is down.');
    memory.entries.set('one/a', entry(known, { prompts: [{ name: 'p' }], resources: [{ uri: 'file:///a' }] }));
    const gateway = await catalogOf({ a: down }, { memory, connections: [known] });
    expect(named(gateway.catalog.view(EVERYTHING).prompts)).toEqual(['a__p']);
    expect(gateway.catalog.view(EVERYTHING).resources).toEqual([{ uri: 'mcp+a+file:///a' }]);
  });
});
