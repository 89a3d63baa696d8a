import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Clock, ToolkitConnection } from '../../src/core/ports.ts';
import { RpcError } from '../../src/core/rpc-error.ts';
import { type RawReply, type RawUpstream, startRaw } from '../mcp/upstreams.ts';
import { type AnswerStream, type LegacyFake, type Received, startLegacyFake } from './legacy-fake.ts';
import { aCall, aClient, openUpstream } from './mcp-context.ts';
import { SteppedClock } from './stepped-clock.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function modern(answer: (method: string, params: Record<string, unknown>) => RawReply) {
  const upstream: RawUpstream = await startRaw(({ method, params }) => answer(method, params));
  const connection = openUpstream({ endpoint: upstream.url });
  cleanup.push(upstream.close, () => connection.close());
  return { upstream, connection };
}

async function legacy(
  answer: (request: Received, stream: AnswerStream) => void | Promise<void>,
  config: Record<string, unknown> = {},
  clock: Clock = systemClock,
): Promise<{ upstream: LegacyFake; connection: ToolkitConnection }> {
  const upstream = await startLegacyFake(answer);
  const connection = openUpstream({ endpoint: upstream.url, ...config }, { clock });
  cleanup.push(upstream.close, () => connection.close());
  return { upstream, connection };
}

const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities';

describe('a modern upstream', () => {
  it("learns on each request what the caller's client can do and which log level it wants, and nothing else of it", async () => {
    const { upstream, connection } = await modern(() => ({ result: { content: [] } }));
    const capabilities = {
      sampling: {},
      extensions: { 'com.example/x': { a: 1 }, 'io.modelcontextprotocol/tasks': {} },
      tasks: {},
    };
    const client = aClient(capabilities, {}, { log_level: 'warning' });
    await connection.request('tools/call', { name: 't' }, aCall({ client }));
    const _meta = upstream.requests.at(-1)?.params._meta as Record<string, unknown>;
    expect(_meta[CAPABILITIES]).toEqual({ sampling: {}, extensions: { 'com.example/x': { a: 1 } } });
    expect(_meta['io.modelcontextprotocol/logLevel']).toBe('warning');
    expect(_meta['io.modelcontextprotocol/clientInfo']).toEqual({ name: 'mcp-data-platform', version: '1.2.3' });
  });

  it('is listed as by a client that can do everything, so that nothing is hidden (lesson 39)', async () => {
    const { upstream, connection } = await modern(() => ({ result: { tools: [] } }));
    await connection.request('tools/list', {}, aCall());
    const _meta = upstream.requests.at(-1)?.params._meta as Record<string, unknown>;
    expect(_meta[CAPABILITIES]).toMatchObject({ sampling: {}, elicitation: {}, roots: {} });
  });

  it.each(['tools/call', 'prompts/get', 'resources/read'])(
    'has its wish for input in %s passed on, and the answers to it',
    async (method) => {
      const wish = {
        resultType: 'input_required',
        inputRequests: { who: { method: 'elicitation/create', params: { message: 'Who?', vendor: 1 } } },
        requestState: 'opaque',
        _meta: { 'com.example/x': 1 },
      };
      const { upstream, connection } = await modern((_method, params) => ({
        result: params.inputResponses
          ? { content: [{ type: 'text', text: 'done' }], contents: [], messages: [] }
          : wish,
      }));
      const client = aClient({ elicitation: {} });
      const params = { name: 't', uri: 'x://y' };
      expect(await connection.request(method, params, aCall({ client }))).toEqual(wish);
      const answers = { inputResponses: { who: { action: 'accept', content: { a: 1 } } }, requestState: 'opaque' };
      expect(await connection.request(method, { ...params, ...answers }, aCall({ client }))).toMatchObject({
        content: [{ text: 'done' }],
      });
      expect(upstream.requests.at(-1)?.params).toMatchObject(answers);
      await expect(connection.request(method, params, aCall())).rejects.toMatchObject({ code: 'upstream_failed' });
    },
  );

  it('that misses a capability is believed only about what the client really lacks', async () => {
    const data = { requiredCapabilities: { sampling: {} } };
    const { connection } = await modern(() => ({ error: { code: -32021, message: 'theirs', data }, status: 400 }));
    const call = (capabilities: Record<string, unknown>) =>
      connection.request('tools/call', { name: 't' }, aCall({ client: aClient(capabilities) }));
    await expect(call({})).rejects.toMatchObject({
      code: -32021,
      message: 'This needs a client that supports sampling, and yours did not declare it.',
      data,
    });
    await expect(call({ sampling: {} })).rejects.toMatchObject({ name: 'AppError', code: 'upstream_failed' });
  });

  it("is told that the caller left by the end of the request's stream", async () => {
    const { upstream, connection } = await modern(() => ({ hang: true }));
    const caller = new AbortController();
    const call = connection.request('tools/call', { name: 't' }, aCall({ signal: caller.signal }));
    await vi.waitFor(() => expect(upstream.requests).toHaveLength(2));
    caller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    await vi.waitFor(() => expect(upstream.broken()).toBe(1));
  });
});

describe('an upstream of the legacy era', () => {
  it('asks the client of the very call, even where several are under way in one session', async () => {
    const { upstream, connection } = await legacy(async ({ id, params }, stream) => {
      stream.send({ id: `ask-${params.name}`, method: 'elicitation/create', params: { message: String(params.name) } });
      await vi.waitFor(() => expect(upstream.received.some(({ id: of }) => of === `ask-${params.name}`)).toBe(true));
      const answer = upstream.received.find(({ id: of }) => of === `ask-${params.name}`);
      stream.send({ id, result: { content: [], answer: answer?.message.result } });
      stream.end();
    });
    const session = { id: 's', ended: new AbortController().signal };
    const call = (name: string) => {
      const answers = { 'elicitation/create': { action: 'accept', content: { name } } };
      const client = aClient({ elicitation: {} }, answers, { session });
      return connection.request('tools/call', { name }, aCall({ client }));
    };
    expect(await Promise.all([call('a'), call('b'), call('c')])).toMatchObject(
      ['a', 'b', 'c'].map((name) => ({ answer: { content: { name } } })),
    );
    // One shared session, and one for the conversation.
    expect(upstream.methods().filter((method) => method === 'initialize')).toHaveLength(2);
  });

  it("gets the client's error, and its cancelled question is cancelled at the client", async () => {
    const { upstream, connection } = await legacy(async ({ id }, stream) => {
      stream.send({ id: 'q1', method: 'sampling/createMessage', params: {} });
      await vi.waitFor(() => expect(upstream.received.some((one) => one.id === 'q1')).toBe(true));
      stream.send({ id: 'q2', method: 'elicitation/create', params: {} });
      await vi.waitFor(() => expect(client.asked).toHaveLength(2));
      stream.send({ method: 'notifications/cancelled', params: { requestId: 'q2' } });
      await vi.waitFor(() => expect(client.asked[1]?.signal.aborted).toBe(true));
      stream.send({ id, result: { content: [] } });
      stream.end();
    });
    const client = aClient(
      { sampling: {}, elicitation: {} },
      {
        'sampling/createMessage': () => Promise.reject(new RpcError(-1, 'the person said no', { a: 1 })),
        'elicitation/create': (signal) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('cancelled')))),
      },
    );
    await connection.request('tools/call', { name: 't' }, aCall({ client }));
    const answer = upstream.received.find((one) => one.id === 'q1')?.message;
    expect(answer?.error).toEqual({ code: -1, message: 'the person said no', data: { a: 1 } });
  });

  it('is told of a caller who leaves', async () => {
    const { upstream, connection } = await legacy(() => undefined);
    const caller = new AbortController();
    const call = connection.request('tools/call', { name: 't' }, aCall({ signal: caller.signal }));
    await vi.waitFor(() => expect(upstream.methods()).toContain('tools/call'));
    caller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    await vi.waitFor(() => expect(upstream.methods()).toContain('notifications/cancelled'));
    const [asked, cancelled] = ['tools/call', 'notifications/cancelled'].map((method) =>
      upstream.received.find((one) => one.method === method),
    );
    expect(cancelled?.params.requestId).toBe(asked?.id);
  });

  it('may take longer than call_timeout while it tells of progress, and no longer once it is silent', async () => {
    const time = new SteppedClock();
    let stream: AnswerStream | undefined;
    let progressToken: unknown;
    const { connection } = await legacy(
      ({ params }, answer) => {
        progressToken = (params._meta as { progressToken: number }).progressToken;
        stream = answer;
      },
      { call_timeout: '1s' },
      time,
    );
    const onprogress = vi.fn();
    const call = connection.request('tools/call', { name: 't' }, aCall({ onprogress }));
    const outcome = call.catch((error: unknown) => error);
    await vi.waitFor(() => expect(stream).toBeDefined());
    for (let progress = 1; progress <= 4; progress += 1) {
      time.step(900);
      stream?.send({ method: 'notifications/progress', params: { progressToken, progress } });
      await vi.waitFor(() => expect(onprogress).toHaveBeenCalledTimes(progress));
    }
    time.step(1_100);
    expect(await outcome).toMatchObject({ code: 'timeout', message: expect.stringContaining('1s (call_timeout)') });
  });

  it('ends the session of a client together with it, and opens another for the next', async () => {
    const { upstream, connection } = await legacy(({ id }, stream) => {
      stream.send({ id, result: { content: [] } });
      stream.end();
    });
    const call = async (id: string, ended: AbortSignal) => {
      const client = aClient({ sampling: {} }, {}, { session: { id, ended } });
      await connection.request('tools/call', { name: 't' }, aCall({ client }));
    };
    const first = new AbortController();
    await call('one', first.signal);
    await call('one', first.signal);
    expect(upstream.methods().filter((method) => method === 'initialize')).toHaveLength(2);
    first.abort();
    await call('one', new AbortController().signal);
    expect(upstream.methods().filter((method) => method === 'initialize')).toHaveLength(3);
  });

  it('is lent to one call at a time where clients hold no session, and to at most sixteen of one principal', async () => {
    let open = 0;
    let most = 0;
    const { upstream, connection } = await legacy(async ({ id }, stream) => {
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => setImmediate(resolve));
      open -= 1;
      stream.send({ id, result: { content: [] } });
      stream.end();
    });
    const call = () => connection.request('tools/call', { name: 't' }, aCall({ client: aClient({ sampling: {} }) }));
    await Promise.all(Array.from({ length: 40 }, call));
    expect(most).toBeLessThanOrEqual(16);
    expect(upstream.methods().filter((method) => method === 'initialize').length).toBeLessThanOrEqual(17);
  });
});
