import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ToolkitClient, ToolkitConnection } from '../../src/core/ports.ts';
import { type EraUpstream, startEraUpstream } from '../mcp/era-upstream.ts';
import { fakeClock } from '../support/ports.ts';
import { aCall, aClient, openUpstream, type RecordingClient } from './mcp-context.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function legacyUpstream(): Promise<EraUpstream> {
  const upstream = await startEraUpstream('legacy');
  cleanup.push(upstream.close);
  return upstream;
}

function opened(config: Record<string, unknown>, changed: Parameters<typeof openUpstream>[1] = {}): ToolkitConnection {
  const connection = openUpstream(config, changed);
  cleanup.push(() => connection.close());
  return connection;
}

const never = () => new Promise<never>(() => undefined);
const actor = (name: string) => ({ principal: { actor: name } });
const tool = (connection: ToolkitConnection, name: string, client: ToolkitClient, who = 'apikey:a', more = {}) =>
  connection.request('tools/call', { name }, aCall({ client, ...actor(who), ...more }));

/** Sixteen calls of one actor that wait for a person; returns how their callers leave. */
async function waitingCalls(connection: ToolkitConnection, client: RecordingClient): Promise<() => Promise<unknown>> {
  const callers: AbortController[] = [];
  const calls: Array<Promise<unknown>> = [];
  while (callers.length < 16) {
    const caller = new AbortController();
    callers.push(caller);
    calls.push(tool(connection, 'ask', client, 'apikey:a', { signal: caller.signal }).catch(() => undefined));
    await vi.waitFor(() => expect(client.asked).toHaveLength(callers.length), { timeout: 20_000 });
  }
  return () => {
    for (const caller of callers) caller.abort(new Error('enough'));
    return Promise.all(calls);
  };
}

describe('a session with an upstream that may ask a client', () => {
  it('is there for everybody else while one principal leaves all its questions unanswered', async () => {
    const upstream = await legacyUpstream();
    const connection = opened({ endpoint: upstream.url });
    const silent = aClient({ elicitation: {} }, { 'elicitation/create': never });
    const leave = await waitingCalls(connection, silent);
    const other = await tool(connection, 'log', aClient({ elicitation: {} }), 'apikey:b');
    expect(other.content).toEqual([{ type: 'text', text: '"logged"' }]);
    await leave();
  });

  it('refuses after a while whoever finds none free, instead of waiting for a person', async () => {
    const upstream = await legacyUpstream();
    const clock = fakeClock(1_000);
    const connection = opened({ endpoint: upstream.url, call_timeout: '1h' }, { clock });
    const silent = aClient({ elicitation: {} }, { 'elicitation/create': never });
    const leave = await waitingCalls(connection, silent);
    const one = expect(tool(connection, 'log', silent)).rejects.toMatchObject({ code: 'unavailable' });
    await vi.waitFor(() => expect(clock.sleeping).toContain(10_000), { timeout: 20_000 });
    await clock.advance(10_000);
    await one;
    await leave();
  });

  it('is never lent to another principal, nor to anybody once the upstream knows the roots of a client', async () => {
    const upstream = await legacyUpstream();
    const connection = opened({ endpoint: upstream.url });
    const client = aClient({ roots: {} }, { 'roots/list': { roots: [{ uri: 'file:///secret' }] } });
    await tool(connection, 'log', client, 'apikey:a');
    const { opened: first } = upstream.sessions();
    await tool(connection, 'log', client, 'apikey:a');
    expect(upstream.sessions().opened).toBe(first);
    await tool(connection, 'log', client, 'apikey:b');
    expect(upstream.sessions().opened).toBe(first + 1);
    await tool(connection, 'roots', client, 'apikey:a');
    await tool(connection, 'log', client, 'apikey:a');
    expect(upstream.sessions().opened).toBe(first + 2);
  });

  it('serves a call although the upstream refuses the level of its log messages', async () => {
    const upstream = await legacyUpstream();
    upstream.refused.add('logging/setLevel');
    const connection = opened({ endpoint: upstream.url });
    const client = aClient(
      { elicitation: {} },
      { 'elicitation/create': { action: 'decline' } },
      { log_level: 'debug' },
    );
    await expect(tool(connection, 'ask', client)).resolves.toMatchObject({
      content: [{ text: '{"action":"decline"}' }],
    });
    await tool(connection, 'ask', client);
    expect(upstream.calls.filter(({ method }) => method === 'logging/setLevel')).toHaveLength(1);
  });

  it.each(['a client of the legacy era', 'a client of the modern era'])(
    'waits for %s as long as a person needs',
    async (era) => {
      const upstream = await legacyUpstream();
      const clock = fakeClock(1_000);
      const connection = opened({ endpoint: upstream.url, call_timeout: '1s' }, { clock });
      let answer = (_: Record<string, unknown>) => {};
      const person = new Promise<Record<string, unknown>>((resolve) => {
        answer = resolve;
      });
      const session = { id: 's', ended: new AbortController().signal };
      const client = aClient(
        { elicitation: {} },
        { 'elicitation/create': () => person },
        era.includes('legacy') ? { session } : {},
      );
      const call = tool(connection, 'ask', client);
      await vi.waitFor(() => expect(client.asked).toHaveLength(1), { timeout: 20_000 });
      for (let minute = 0; minute < 9; minute += 1) await clock.advance(60_000);
      answer({ action: 'accept' });
      await expect(call).resolves.toMatchObject({ content: [{ text: '{"action":"accept"}' }] });
    },
  );
});

/** A program of the legacy era: `ask` asks its client, `slow` never answers, and `log` says something afterwards. */
const PROGRAM = `
const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n');
const asked = new Map();
const answers = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'p', version: '1' } }),
  'tools/list': () => ({ tools: [] }),
};
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params, result } = JSON.parse(line);
  if (method === undefined) return send({ id: asked.get(id), result: { content: [{ type: 'text', text: JSON.stringify(result) }] } });
  if (id === undefined) return;
  if (method === 'tools/call' && params.name === 'slow') return;
  if (method === 'tools/call') {
    asked.set('q' + id, id);
    return send({ id: 'q' + id, method: 'elicitation/create', params: { message: 'Who?' } });
  }
  const answer = answers[method];
  send(answer ? { id, result: answer(params) } : { id, error: { code: -32601, message: 'Method not found' } });
});
`;
const program = { command: process.execPath, args: ['-e', PROGRAM] };

describe('a program of this server', () => {
  it('counts as one that keeps ending only when it ends by itself, not when its clients leave', async () => {
    const connection = opened(program);
    for (let left = 0; left < 9; left += 1) {
      const ended = new AbortController();
      const client = aClient({ elicitation: {} }, {}, { session: { id: `s${left}`, ended: ended.signal } });
      await tool(connection, 'ask', client);
      ended.abort();
    }
    const client = aClient({ elicitation: {} }, {}, { session: { id: 'last', ended: new AbortController().signal } });
    await expect(tool(connection, 'ask', client)).resolves.toMatchObject({ content: [{ type: 'text' }] });
  }, 60_000);

  it('waits for a person in every call of the client that it may mean, where no stream tells which one it is', async () => {
    const clock = fakeClock(1_000);
    const connection = opened({ ...program, call_timeout: '1s' }, { clock });
    let answer = (_: Record<string, unknown>) => {};
    const person = new Promise<Record<string, unknown>>((resolve) => {
      answer = resolve;
    });
    const session = { id: 's', ended: new AbortController().signal };
    const asked = vi.fn(() => person);
    const client = () => aClient({ elicitation: {} }, { 'elicitation/create': asked }, { session });
    const callers = [new AbortController(), new AbortController()];
    const slow = ({ signal }: AbortController) =>
      tool(connection, 'slow', client(), 'apikey:a', { signal }).catch(() => undefined);
    const [before, after] = callers as [AbortController, AbortController];
    const first = slow(before);
    const call = tool(connection, 'ask', client());
    const last = slow(after);
    await vi.waitFor(() => expect(asked).toHaveBeenCalledOnce(), { timeout: 20_000 });
    await clock.advance(5_000);
    answer({ action: 'accept' });
    await expect(call).resolves.toMatchObject({ content: [{ text: '{"action":"accept"}' }] });
    for (const caller of callers) caller.abort(new Error('enough'));
    await Promise.all([first, last]);
  }, 60_000);

  it('asks each of two clients at the same time what it means that client to be asked', async () => {
    const connection = opened(program);
    const client = (name: string) => aClient({ elicitation: {} }, { 'elicitation/create': { name } });
    const answers = await Promise.all([tool(connection, 'ask', client('Ada')), tool(connection, 'ask', client('Bob'))]);
    expect(answers.map(({ content }) => content)).toEqual([
      [{ type: 'text', text: '{"name":"Ada"}' }],
      [{ type: 'text', text: '{"name":"Bob"}' }],
    ]);
  }, 60_000);
});
