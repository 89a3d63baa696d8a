import { afterEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import { connection, EVERYTHING, entry, type GatewayOptions, MemoryStores, openGateway } from '../mcp/gateway.ts';
import { deferred } from '../support/ports.ts';
import { type FakeUpstream, fakeToolkit, fakeUpstream, tool } from './fake-toolkit.ts';

type Params = Record<string, unknown>;

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function catalogOf(upstreams: Record<string, FakeUpstream>, options: GatewayOptions = {}) {
  const known = new Map(Object.entries(upstreams));
  const gateway = await openGateway({
    toolkits: [fakeToolkit('one', known), fakeToolkit('two', known)],
    connections: [...known.keys()].map((name) => connection(name, {}, 'one')),
    ...options,
  });
  cleanup.push(gateway.close);
  return gateway;
}

const stateOf = (gateway: { catalog: { status(key: { kind: string; name: string }): unknown } }, name: string) =>
  gateway.catalog.status({ kind: 'one', name }) as { state: string; error: { code: string } | null } | undefined;

describe('the catalog', () => {
  it('publishes the tools of every connection, in the order of their creation', async () => {
    const gateway = await catalogOf({ b: fakeUpstream(tool('y'), tool('x')), a: fakeUpstream(tool('z')) });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['b__y', 'b__x', 'a__z']));
  });

  it('starts with the last known tools while an upstream is down, and flags them', async () => {
    const memory = new MemoryStores();
    const down = fakeUpstream();
    down.fail = new AppError('upstream_unreachable', 'It is down.');
    const known = connection('a', {}, 'one');
    memory.entries.set('one/a', entry(known, { tools: [tool('x')] }));
    const gateway = await catalogOf({ a: down }, { memory, connections: [known] });
    expect(gateway.names()).toEqual(['a__x']);
    await vi.waitFor(() =>
      expect(stateOf(gateway, 'a')).toMatchObject({ state: 'unavailable', error: { code: 'upstream_unreachable' } }),
    );
    await vi.waitFor(() => {
      const [published] = gateway.catalog.view(EVERYTHING).tools;
      expect(published?._meta).toMatchObject({ 'mcp-data-platform/connection': { state: 'unavailable' } });
    });
    down.fail = undefined;
    down.tools = [tool('x'), tool('new')];
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x', 'a__new']));
    expect(stateOf(gateway, 'a')?.state).toBe('ok');
  });

  it('does not take over the tools of an earlier connection of the same name', async () => {
    const memory = new MemoryStores();
    const upstream = fakeUpstream();
    upstream.fail = new AppError('upstream_unreachable', 'It is down.');
    const incarnation = '11111111-0000-4000-8000-000000000000';
    const earlier = { ...connection('a', {}, 'one'), incarnation };
    memory.entries.set('one/a', entry(earlier, { tools: [tool('old')] }));
    const gateway = await catalogOf({ a: upstream }, { memory });
    await vi.waitFor(() => expect(stateOf(gateway, 'a')?.state).toBe('unavailable'));
    expect(gateway.names()).toEqual([]);
  });

  it('keeps how the tools of an upstream changed, but not its first list', async () => {
    const upstream = fakeUpstream(tool('x'), tool('z'));
    const gateway = await catalogOf({ a: upstream });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x', 'a__z']));
    const { toolChanges } = gateway.memory;
    const kept = async () => await toolChanges.list({ key: { kind: 'one', name: 'a' }, limit: 10 });
    expect(await kept()).toEqual([]);
    upstream.tools = [tool('x', { description: 'another' }), tool('y')];
    upstream.changed();
    await vi.waitFor(async () => expect(await kept()).toHaveLength(3));
    expect((await kept()).map(({ tool: of, change, parts }) => [of, change, parts].flat()).sort()).toEqual([
      ['x', 'changed', 'description'],
      ['y', 'added'],
      ['z', 'removed'],
    ]);
  });

  it('lists again when the upstream says that it changed, and tells its listeners', async () => {
    const upstream = fakeUpstream(tool('x'));
    const gateway = await catalogOf({ a: upstream });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
    const told = vi.fn();
    gateway.catalog.onChange(told);
    upstream.tools = [tool('x'), tool('y')];
    upstream.changed();
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x', 'a__y']));
    expect(told).toHaveBeenCalled();
  });

  it('follows the database: a new connection, a changed one, a deleted one (lesson 32)', async () => {
    const [a, b] = [fakeUpstream(tool('x')), fakeUpstream(tool('y'))];
    const gateway = await catalogOf({ a, b }, { connections: [] });
    expect(gateway.names()).toEqual([]);
    const first = connection('a', {}, 'one');
    gateway.add(first);
    gateway.add(connection('b', {}, 'one'));
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x', 'b__y']));
    gateway.add({ ...first, revision: first.revision + 1000n });
    await vi.waitFor(() => expect([a.opened, a.closed]).toEqual([2, 1]));
    expect(gateway.names()).toEqual(['a__x', 'b__y']);
    gateway.memory.connections.delete('one/b');
    await gateway.notifier.publish('connections', '');
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
    expect(b.closed).toBe(1);
  });

  it('lets the calls under way end when a connection is edited, and not when it is deleted or the server stops', async () => {
    const called = (name: string) => ({ name, calls: fakeUpstream(tool('x')), answer: deferred<Params>() });
    const [edited, deleted, stopped] = [called('a'), called('b'), called('c')];
    const all = [edited, deleted, stopped];
    for (const { calls, answer } of all) calls.answers['tools/call'] = answer.promise;
    const gateway = await catalogOf(Object.fromEntries(all.map(({ name, calls }) => [name, calls])), {
      connections: [],
    });
    const connections = all.map(({ name }) => connection(name, {}, 'one'));
    for (const one of connections) gateway.add(one);
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(3));
    const { signal } = new AbortController();
    const results = all.map(({ name }) => {
      const viewer = { ...EVERYTHING, connection: { kind: 'one', name } };
      return gateway.toolCall.call(viewer, 'tools/call', { name: 'x' }, { signal });
    });
    for (const one of connections.slice(0, 1)) gateway.add({ ...one, revision: one.revision + 1000n });
    gateway.memory.connections.delete('one/b');
    await gateway.notifier.publish('connections', '');
    await vi.waitFor(() => expect(deleted.calls.closed).toBe(1));
    expect([edited.calls.opened, edited.calls.closed]).toEqual([2, 0]);
    edited.answer.resolve({ content: [], from: 'the old one' });
    expect(await results[0]).toMatchObject({ type: 'result', result: { from: 'the old one' } });
    await vi.waitFor(() => expect(edited.calls.closed).toBe(1));
    for (const one of connections.slice(2)) gateway.add({ ...one, revision: one.revision + 1000n });
    await vi.waitFor(() => expect(stopped.calls.opened).toBe(2));
    await gateway.catalog.close();
    expect(stopped.calls.closed).toBe(2);
    for (const { answer } of all) answer.resolve({ content: [] });
    await Promise.all(results);
  });

  it('serves the calls that come between an edit and the list of what it opened', async () => {
    const upstream = fakeUpstream(tool('x'));
    const gateway = await catalogOf({ a: upstream }, { connections: [] });
    const first = connection('a', {}, 'one');
    gateway.add(first);
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
    gateway.add({ ...first, revision: first.revision + 1000n });
    const { signal } = new AbortController();
    const asked = () => upstream.calls.filter(({ method }) => method === 'tools/call').map(({ closed }) => closed);
    do {
      await new Promise((resolve) => setImmediate(resolve));
      await gateway.toolCall.call(EVERYTHING, 'tools/call', { name: 'a__x' }, { signal });
    } while (upstream.closed === 0);
    expect(upstream.opened).toBe(2);
    expect(asked()).not.toContain(true);
  });

  it('gives up the calls that an edit let go on when the connection is then deleted', async () => {
    const upstream = fakeUpstream(tool('x'));
    const answer = deferred<Params>();
    upstream.answers['tools/call'] = answer.promise;
    const gateway = await catalogOf({ a: upstream }, { connections: [] });
    const first = connection('a', {}, 'one');
    gateway.add(first);
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
    const { signal } = new AbortController();
    const viewer = { ...EVERYTHING, connection: first.key };
    const result = gateway.toolCall.call(viewer, 'tools/call', { name: 'x' }, { signal });
    gateway.add({ ...first, revision: first.revision + 1000n });
    await vi.waitFor(() => expect([upstream.opened, upstream.closed]).toEqual([2, 0]));
    gateway.memory.connections.delete('one/a');
    await gateway.notifier.publish('connections', '');
    await vi.waitFor(() => expect(upstream.closed).toBe(2));
    answer.resolve({ content: [] });
    await result;
  });

  it.each([
    ['is longer than is accepted', new AppError('upstream_failed', 'It lists more than is accepted.')],
    ['does not come in time', new AppError('timeout', 'It did not answer.')],
  ])(
    'lists the tools of an upstream that has another list which %s, and keeps what is known of that',
    async (_how, error) => {
      const upstream = fakeUpstream(tool('x'));
      upstream.answers = {
        'server/discover': { capabilities: { tools: {}, prompts: {}, resources: {} } },
        'prompts/list': { prompts: [{ name: 'greet' }] },
        'resources/list': { resources: [{ uri: 'file:///a', name: 'a' }] },
        'resources/templates/list': error,
      };
      const gateway = await catalogOf({ a: upstream });
      await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
      expect(stateOf(gateway, 'a')).toMatchObject({ state: 'ok', prompts: 1, resources: 1 });
      upstream.tools = [tool('x'), tool('y')];
      upstream.answers['resources/list'] = error;
      upstream.changed();
      await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x', 'a__y']));
      expect(stateOf(gateway, 'a')).toMatchObject({ state: 'ok', prompts: 1, resources: 1 });
    },
  );

  it('never opens a connection whose stored row is not valid, and starts all the same (lesson 33)', async () => {
    const bad = { ...connection('bad', {}, 'one'), issues: [{ path: 'endpoint', message: 'is missing' }] };
    const gateway = await catalogOf(
      { bad: fakeUpstream(tool('x')), good: fakeUpstream(tool('y')) },
      {
        connections: [
          bad,
          connection('good', {}, 'one'),
          connection('ghost', {}, 'one'),
          connection('odd', {}, 'none'),
        ],
      },
    );
    await vi.waitFor(() => expect(gateway.names()).toEqual(['good__y']));
    expect(await gateway.catalog.test(bad, new AbortController().signal)).toMatchObject({
      ok: false,
      message: expect.stringContaining('endpoint'),
    });
  });

  it('lists a connection that needed a person as soon as it has a token again', async () => {
    const upstream = fakeUpstream(tool('x'));
    upstream.fail = new AppError('needs_person', 'Connect it.');
    const gateway = await catalogOf({ a: upstream });
    await vi.waitFor(() => expect(stateOf(gateway, 'a')?.state).toBe('needs_person'));
    upstream.fail = undefined;
    await gateway.notifier.publish('credentials', 'one/a');
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
  });

  it('keeps a name once given, also over a restart and when another kind takes the same connection name', async () => {
    const memory = new MemoryStores();
    const upstream = fakeUpstream(tool('x'));
    const older = connection('a', {}, 'one');
    const newer = connection('a', {}, 'two');
    const before = await catalogOf({ a: upstream }, { memory, connections: [newer] });
    await vi.waitFor(() => expect(before.names()).toEqual(['a__x']));
    const after = await catalogOf({ a: upstream }, { memory, connections: [older, newer] });
    await vi.waitFor(() => expect(after.names()).toHaveLength(2));
    const named = (name: string) => {
      const found = after.catalog.view(EVERYTHING).tool(name, {});
      return found.found ? found.key.kind : undefined;
    };
    expect(named('a__x')).toBe('two');
    const other = after.names().find((name) => name !== 'a__x');
    expect(named(String(other))).toBe('one');
    const given = memory.published.map(({ item, published_name }) => `${item} ${published_name}`);
    expect(new Set(given).size).toBe(memory.published.length);
  });

  it('touches no database for a list or a lookup', async () => {
    const gateway = await catalogOf({ a: fakeUpstream(tool('x')) });
    await vi.waitFor(() => expect(gateway.names()).toEqual(['a__x']));
    const { reads } = gateway.memory;
    for (let count = 0; count < 100; count += 1) {
      gateway.names();
      gateway.catalog.view(EVERYTHING).tool('a__x', {});
    }
    expect(gateway.memory.reads).toBe(reads);
  });
});
