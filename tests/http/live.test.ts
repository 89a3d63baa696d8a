import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { afterEach, describe, expect, it } from 'vitest';
import { createHttpApp } from '../../src/http/app.ts';
import type { HttpDeps } from '../../src/http/deps.ts';
import { ADMIN_KEY, AGENT_KEY, fakeApp } from './fake-app.ts';

describe('over a real socket', () => {
  let close = async () => {};
  afterEach(() => close());

  async function listen(changes: Partial<HttpDeps>): Promise<string> {
    const app = createHttpApp({ ...fakeApp().deps, ...changes });
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
    await new Promise((resolve) => server.once('listening', resolve));
    close = () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('streams what a mount answers as it comes, and tells it when the client goes away', async () => {
    const encoder = new TextEncoder();
    let gone: (value: string) => void = () => {};
    const wentAway = new Promise<string>((resolve) => {
      gone = resolve;
    });
    const origin = await listen({
      mounts: [
        {
          path: '/mcp',
          handle: async (request) => {
            request.signal.addEventListener('abort', () => gone('aborted'));
            const body = new ReadableStream({
              start: (controller) => controller.enqueue(encoder.encode('data: one\n\n')),
              cancel: () => gone('aborted'),
            });
            return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
          },
        },
      ],
    });
    const client = new AbortController();
    const answer = await fetch(`${origin}/mcp`, { headers: { 'x-api-key': AGENT_KEY }, signal: client.signal });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const first = await answer.body?.getReader().read();
    expect(new TextDecoder().decode(first?.value)).toBe('data: one\n\n');
    client.abort();
    expect(await wentAway).toBe('aborted');
  });

  it('takes a body in pieces without a Content-Length, up to the limit', async () => {
    const origin = await listen({});
    const pieces = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(262_144).fill(0x20));
      },
    });
    const init = { method: 'POST', body: pieces, duplex: 'half' as const };
    const headers = { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' };
    const path = '/api/v1/admin/connections/mcp/notes/oauth-start';
    const answer = await fetch(origin + path, { ...init, headers });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({ code: 'payload_too_large' });
  });
});
