import { afterEach, describe, expect, it, vi } from 'vitest';
import { connection, openGateway } from './gateway.ts';
import { connectPipe, pipeFace } from './pipe.ts';
import { startRaw } from './upstreams.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

describe('the pipe', () => {
  it.each([
    ['legacy', 'legacy'],
    ['auto', 'modern'],
  ] as const)('serves a client in mode %s, tells it of changes, and ends with it', async (mode, era) => {
    const tool = { name: 't', inputSchema: { type: 'object' } };
    const upstream = await startRaw(() => ({ result: { tools: [tool], content: [{ type: 'text', text: 'done' }] } }));
    cleanup.push(upstream.close);
    const gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
    cleanup.push(gateway.close);
    await vi.waitFor(() => expect(gateway.names()).toEqual(['up__t']));
    const face = pipeFace(gateway);
    const { client, close } = await connectPipe((stdin, stdout) => face.serve(stdin, stdout), mode);
    expect(client.getProtocolEra()).toBe(era);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['up__t']);
    expect(await client.callTool({ name: 'up__t' })).toMatchObject({ content: [{ text: 'done' }] });
    const told = vi.fn();
    client.setNotificationHandler('notifications/tools/list_changed', told);
    if (era === 'modern') await client.listen({ toolsListChanged: true });
    gateway.add(connection('two', { endpoint: upstream.url }));
    await vi.waitFor(() => expect(told).toHaveBeenCalled());
    await close();
  });
});
