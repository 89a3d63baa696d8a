import { Client, ProtocolError, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { accessRules } from '../../src/core/access-rule.ts';
import { startEraUpstream } from './era-upstream.ts';
import { connection, openGateway, PRINCIPAL } from './gateway.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

const CAPABILITIES = { elicitation: {}, roots: { listChanged: true } };

async function conversation() {
  const upstream = await startEraUpstream('legacy');
  cleanup.push(upstream.close);
  const gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
  cleanup.push(gateway.close);
  await vi.waitFor(() => expect(gateway.names()).toContain('up__ask'), { timeout: 10_000 });
  const client = new Client({ name: 'test', version: '1' }, { capabilities: CAPABILITIES });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${gateway.url}/up`)));
  cleanup.push(() => client.close());
  return { upstream, gateway, client };
}

describe('a legacy client in conversation with a legacy upstream', () => {
  it('refuses a question in words of its own, and the upstream hears them', async () => {
    const { client } = await conversation();
    client.setRequestHandler('elicitation/create', () => {
      throw new ProtocolError(-1, 'The user said no');
    });
    const { content } = await client.callTool({ name: 'ask_and_tell' });
    expect(content).toEqual([{ type: 'text', text: expect.stringMatching(/"code":-1,.*The user said no/) as string }]);
  });

  it('hears what the upstream logs when no call is under way', async () => {
    const { client, upstream } = await conversation();
    const heard: unknown[] = [];
    client.setNotificationHandler('notifications/message', ({ params }) => void heard.push(params.data));
    await client.callTool({ name: 'log_later' });
    await vi.waitFor(async () => {
      await upstream.logLater();
      expect(heard).toContain('later');
    });
  });

  it('tells that its roots changed, and the upstream asks for them again', async () => {
    const { client, upstream } = await conversation();
    let roots = [{ uri: 'file:///one' }];
    client.setRequestHandler('roots/list', () => ({ roots }));
    await client.callTool({ name: 'roots' });
    roots = [{ uri: 'file:///two' }];
    await vi.waitFor(async () => {
      await client.sendRootsListChanged();
      expect(upstream.roots).toContainEqual(roots);
    });
  });
});

it('a session ends for whoever may use something else now, and opens again with what that is', async () => {
  const { gateway } = await conversation();
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  const post = (access: typeof PRINCIPAL.access, method: string, params: unknown, more: Record<string, string> = {}) =>
    gateway.face.handle(
      new Request(gateway.url, {
        method: 'POST',
        headers: { ...headers, ...more },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      }),
      { ...PRINCIPAL, access },
    );
  const clientInfo = { name: 't', version: '1' };
  const opened = await post(PRINCIPAL.access, 'initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo,
  });
  await opened.text();
  const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' };
  const call = { name: 'up__log', arguments: {} };
  expect((await post(PRINCIPAL.access, 'tools/call', call, session)).status).toBe(200);
  expect((await post(accessRules({ allow: [] }), 'tools/call', call, session)).status).toBe(404);
});
