import { createServer } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { listen, stop } from '../mcp/gateway.ts';
import { startRaw } from '../mcp/upstreams.ts';
import { aCall, openUpstream } from './mcp-context.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

it('an error whose data is nested too deeply to be written again is relayed without it', async () => {
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const upstream = await startRaw(({ id }) => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: `{"jsonrpc":"2.0","id":${String(id)},"error":{"code":4711,"message":"theirs","data":${deep}}}`,
  }));
  cleanup.push(upstream.close);
  const connection = openUpstream({ endpoint: upstream.url });
  cleanup.push(() => connection.close());
  const call = connection.request('tools/call', { name: 't' }, aCall());
  await expect(call).rejects.toMatchObject({ code: 4711, message: 'theirs', data: undefined });
});

it('an event stream that never tells where it takes messages is given up at connect_timeout', async () => {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
  });
  cleanup.push(() => stop(server));
  const url = `http://127.0.0.1:${await listen(server)}/sse`;
  const connection = openUpstream({ endpoint: url, transport: 'sse', connect_timeout: '100ms' });
  cleanup.push(() => connection.close());
  const call = connection.request('tools/call', { name: 't' }, aCall());
  await expect(call).rejects.toMatchObject({ code: 'timeout', message: expect.stringContaining('connect_timeout') });
});

it.each(['http://127.0.0.1:9/messages', '//other.example/messages', 'file:///etc/passwd'])(
  'an event stream that takes messages at another origin (%s) is told as what it is, and sent nothing',
  async (address) => {
    const methods: (string | undefined)[] = [];
    const server = createServer(({ method }, response) => {
      methods.push(method);
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(`event: endpoint\ndata: ${address}\n\n`);
    });
    cleanup.push(() => stop(server));
    const url = `http://127.0.0.1:${await listen(server)}/sse`;
    const connection = openUpstream({ endpoint: url, transport: 'sse', auth_mode: 'none' });
    cleanup.push(() => connection.close());
    const call = connection.request('tools/call', { name: 't' }, aCall());
    await expect(call).rejects.toMatchObject({ code: 'upstream_failed', message: expect.stringContaining('origin') });
    expect(methods).toEqual(['GET']);
  },
);
