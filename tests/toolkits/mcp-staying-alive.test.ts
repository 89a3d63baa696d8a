import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { type Process, type RawReply, startEverything, startModernMemory, startRaw } from '../mcp/upstreams.ts';
import { aCall, openUpstream } from './mcp-context.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});
function opened(url: string, config: Record<string, unknown> = {}): ToolkitConnection {
  const connection = openUpstream({ endpoint: url, ...config });
  cleanup.push(() => connection.close());
  return connection;
}

const echo = (connection: ToolkitConnection, message: string) =>
  connection.request('tools/call', { name: 'echo', arguments: { message } }, aCall());

describe('a connection to an upstream', () => {
  it('survives its restart: the dropped session is dialled again and the call made (lesson 30)', async () => {
    let upstream: Process = await startEverything();
    cleanup.push(() => upstream.kill());
    const connection = opened(upstream.url);
    await echo(connection, 'one');
    await upstream.kill();
    upstream = await startEverything(upstream.port);
    // The first request may meet a socket that broke unnoticed: then nobody knows whether it ran, and it is not repeated.
    const again = await echo(connection, 'two').catch(() => echo(connection, 'two'));
    expect(again.content).toEqual([{ type: 'text', text: 'Echo: two' }]);
  });

  it('notices by itself that its session is gone, and tells that the tools may have changed', async () => {
    let upstream: Process = await startEverything();
    cleanup.push(() => upstream.kill());
    const connection = opened(upstream.url);
    await connection.request('tools/list', {}, aCall());
    const changed = vi.fn();
    connection.onChange(changed);
    await upstream.kill();
    upstream = await startEverything(upstream.port);
    await vi.waitFor(() => expect(changed).toHaveBeenCalled(), { timeout: 20_000 });
    await expect(echo(connection, 'hi')).resolves.toMatchObject({ content: [{ text: 'Echo: hi' }] });
  });

  it('dials once for many callers, and not before the first', async () => {
    const upstream = await startRaw(() => ({ result: { content: [] } }));
    cleanup.push(upstream.close);
    const connection = opened(upstream.url);
    expect(upstream.requests).toEqual([]);
    await Promise.all(Array.from({ length: 20 }, () => connection.request('tools/call', { name: 't' }, aCall())));
    expect(upstream.requests.filter(({ method }) => method === 'server/discover')).toHaveLength(1);
  });

  it('speaks to a modern upstream, and carries its progress and results', async () => {
    const upstream = await startModernMemory();
    cleanup.push(upstream.kill);
    const connection = opened(upstream.url);
    const result = await connection.request('tools/call', { name: 'read_graph', arguments: {} }, aCall());
    expect(result.structuredContent).toEqual({ entities: [], relations: [] });
    expect(await connection.test(new AbortController().signal)).toMatchObject({ ok: true, details: { era: 'modern' } });
  });

  it.each([
    ['repeats', { readOnlyHint: true }, 2],
    ['repeats', { idempotentHint: true }, 2],
    ['does not repeat', {}, 1],
  ])('%s a call that broke when the tool says %j (lesson 37)', async (_what, annotations, times) => {
    let calls = 0;
    const tool = { name: 't', inputSchema: { type: 'object' }, annotations };
    const upstream = await startRaw(({ method }): RawReply => {
      if (method === 'tools/list') return { result: { tools: [tool] } };
      calls += 1;
      return calls === 1 ? { drop: true } : { result: { content: [{ type: 'text', text: 'done' }] } };
    });
    cleanup.push(upstream.close);
    const connection = opened(upstream.url);
    await connection.request('tools/list', {}, aCall());
    const outcome = await connection.request('tools/call', { name: 't' }, aCall()).catch((error: unknown) => error);
    expect(calls).toBe(times);
    if (times === 2) expect(outcome).toMatchObject({ content: [{ text: 'done' }] });
    else
      expect(outcome).toMatchObject({
        code: 'upstream_unreachable',
        message: expect.stringContaining('may have been'),
      });
  });

  it('ends a call at call_timeout and says so', async () => {
    const upstream = await startRaw(() => ({ hang: true }));
    cleanup.push(upstream.close);
    const connection = opened(upstream.url, { call_timeout: '200ms' });
    await expect(connection.request('tools/call', { name: 't' }, aCall())).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('200ms (call_timeout)'),
    });
  });

  it("passes a caller's cancellation on", async () => {
    let arrived = () => {};
    const hanging = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const upstream = await startRaw(() => {
      arrived();
      return { hang: true };
    });
    cleanup.push(upstream.close);
    const connection = opened(upstream.url);
    const caller = new AbortController();
    const call = connection.request('tools/call', { name: 't' }, aCall({ signal: caller.signal }));
    await hanging;
    caller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });

  it('says that an endpoint is no MCP endpoint', async () => {
    const upstream = await startRaw(() => ({ status: 404, body: '<html>' }));
    cleanup.push(upstream.close);
    const connection = opened(upstream.url);
    await expect(connection.request('tools/call', { name: 't' }, aCall())).rejects.toMatchObject({
      code: 'upstream_failed',
      message: expect.stringContaining('/mcp'),
    });
  });
});
