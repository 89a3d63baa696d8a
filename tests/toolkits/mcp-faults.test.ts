import { afterEach, describe, expect, it } from 'vitest';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { type RawReply, startRaw } from '../mcp/upstreams.ts';
import { startLegacyFake } from './legacy-fake.ts';
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
