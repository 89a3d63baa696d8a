import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { type RawReply, startRaw } from '../mcp/upstreams.ts';
import { type AnswerStream, startLegacyFake } from './legacy-fake.ts';
import { aCall, openUpstream } from './mcp-context.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function answering(answer: (method: string) => RawReply): Promise<ToolkitConnection> {
  const upstream = await startRaw(({ method }) => answer(method));
  const connection = openUpstream({ endpoint: upstream.url });
  cleanup.push(upstream.close, () => connection.close());
  return connection;
}

describe('an upstream that goes too far', () => {
  it('may offer 5,000 tools', async () => {
    const tools = Array.from({ length: 5_000 }, (_, at) => ({ name: `t${at}`, inputSchema: { type: 'object' } }));
    const connection = await answering(() => ({ result: { tools } }));
    expect((await connection.request('tools/list', {}, aCall())).tools).toEqual(tools);
  });

  it('may answer with 10 MiB', async () => {
    const text = 'x'.repeat(10 * 1024 * 1024);
    const connection = await answering(() => ({ result: { content: [{ type: 'text', text }] } }));
    const { content } = await connection.request('tools/call', { name: 't' }, aCall());
    expect((content as Array<{ text: string }>)[0]?.text.length).toBe(text.length);
  });

  it.each([
    ['no JSON', 'data: {"jsonrpc": \n\n'],
    ['an answer to nobody', 'data: {"jsonrpc":"2.0","id":999999,"result":{}}\n\n'],
    ['an answer without an outcome', 'data: {"jsonrpc":"2.0","id":ID}\n\n'],
    ['a result that is a list', 'data: {"jsonrpc":"2.0","id":ID,"result":[]}\n\n'],
    ['null', 'data: null\n\n'],
  ])('is told apart from an upstream when it sends %s, and its words are not repeated', async (_what, text) => {
    const upstream = await startLegacyFake(({ id }, stream) => {
      stream.raw(`: secret-of-theirs\n\n${text.replace('ID', String(id))}`);
      stream.end();
    });
    const connection = openUpstream({ endpoint: upstream.url });
    cleanup.push(upstream.close, () => connection.close());
    const error = await connection.request('tools/call', { name: 't' }, aCall()).catch((one: unknown) => one);
    expect(error).toMatchObject({ name: 'AppError', code: 'upstream_failed' });
    expect(String(error)).not.toContain('secret-of-theirs');
  });

  it('passes blocks of kinds that nobody knows', async () => {
    const result = { content: [{ type: 'hologram', data: 1 }], unknown: { kept: true } };
    const connection = await answering(() => ({ result }));
    expect(await connection.request('tools/call', { name: 't' }, aCall())).toEqual(result);
  });
});

describe('a connection that is closed', () => {
  it('lets go of the streams of its calls, which an upstream may keep open or have resumed without end', async () => {
    const streams: AnswerStream[] = [];
    const upstream = await startLegacyFake((_request, stream) => {
      stream.raw('id: 1\ndata: \n\n');
      streams.push(stream);
    });
    const connection = openUpstream({ endpoint: upstream.url });
    cleanup.push(upstream.close, () => connection.close());
    const call = connection.request('tools/call', { name: 't' }, aCall()).catch((error: unknown) => error);
    await vi.waitFor(() => expect(streams).toHaveLength(1));
    await connection.close();
    expect(await call).toMatchObject({ name: 'AppError' });
    await vi.waitFor(() => expect(streams[0]?.response.destroyed).toBe(true));
  });
});

describe('an upstream of the legacy era that answers a call with HTTP 400', () => {
  async function refusing(refused: Record<string, unknown>) {
    const upstream = await startLegacyFake(
      ({ id }, stream) => {
        stream.send({ id, result: { content: [] } });
        stream.end();
      },
      { tools: {} },
      ({ params }) => (params.name === 'refused' ? refused : undefined),
    );
    const connection = openUpstream({ endpoint: upstream.url });
    cleanup.push(upstream.close, () => connection.close());
    const call = (name: string) =>
      connection.request('tools/call', { name }, aCall()).catch((error: unknown) => error as Error);
    const seen = (method: string) => upstream.methods().filter((one) => one === method).length;
    return { call, seen };
  }

  it('is relayed where it answers our request, which is not sent again: it may have run', async () => {
    const { call, seen } = await refusing({ error: { code: -32602, message: 'theirs', data: { field: 'a' } } });
    expect(await call('refused')).toMatchObject({
      name: 'RpcError',
      code: -32602,
      message: 'theirs',
      data: { field: 'a' },
    });
    await call('other');
    expect(seen('tools/call')).toBe(2);
    expect(seen('initialize')).toBe(1);
  });

  it.each([-32000, -32001])(
    'is relayed with %i, too, by which servers mean the session: the next call opens another',
    async (code) => {
      const { call, seen } = await refusing({ error: { code, message: 'no such session' } });
      expect(await call('refused')).toMatchObject({ name: 'RpcError', code, message: 'no such session' });
      expect(seen('tools/call')).toBe(1);
      expect(await call('other')).toEqual({ content: [] });
      expect(seen('initialize')).toBe(2);
    },
  );

  it('has not run it where it answers no request: it is sent again in another session', async () => {
    const { call, seen } = await refusing({ id: null, error: { code: -32000, message: 'no such session' } });
    expect(await call('refused')).toMatchObject({ name: 'AppError', code: 'upstream_failed' });
    expect(seen('tools/call')).toBe(2);
    expect(seen('initialize')).toBe(2);
  });
});
