import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type AnyClient, connectV1, connectV2 } from './clients.ts';
import { connection, type Gateway, openGateway } from './gateway.ts';
import { type Process, startEverything, startModernMemory } from './upstreams.ts';

const CLIENTS: Array<[string, (url: string) => Promise<AnyClient>]> = [
  ['the SDK v2 client of the modern era', (url) => connectV2(url, 'auto')],
  ['the SDK v2 client of the legacy era', (url) => connectV2(url, 'legacy')],
  ['the SDK v1 client', (url) => connectV1(url)],
];

describe('one endpoint in front of real upstreams of both eras', () => {
  let everything: Process;
  let memory: Process;
  let gateway: Gateway;

  beforeAll(async () => {
    [everything, memory] = await Promise.all([startEverything(), startModernMemory()]);
    gateway = await openGateway({
      connections: [
        connection('everything', { endpoint: everything.url }),
        connection('memory', { endpoint: memory.url }),
      ],
    });
    await vi.waitFor(() => expect(gateway.names()).toHaveLength(26), { timeout: 20_000 });
  }, 60_000);

  afterAll(async () => {
    await gateway?.close();
    await Promise.all([everything?.kill(), memory?.kill()]);
  });

  describe.each(CLIENTS)('%s', (_name, connect) => {
    let client: AnyClient;
    beforeAll(async () => {
      client = await connect(gateway.url);
    });
    afterAll(() => client?.close());

    it('sees the tools of every connection under its name', async () => {
      expect(client.serverName).toBe('mcp-data-platform');
      const names = (await client.tools()).map((tool) => tool.name);
      expect(names).toEqual(gateway.names());
      expect(names).toContain('everything__echo');
      expect(names).toContain('memory__read_graph');
    });

    it('calls a tool of a legacy upstream', async () => {
      const result = await client.call('everything__echo', { message: 'hello' });
      expect(result.content).toEqual([{ type: 'text', text: 'Echo: hello' }]);
    });

    it('calls a tool of a modern upstream', async () => {
      const result = await client.call('memory__read_graph');
      expect(result.isError).not.toBe(true);
      expect(result.structuredContent).toEqual({ entities: [], relations: [] });
    });

    it('gets progress under its own token', async () => {
      const seen: number[] = [];
      await client.call(
        'everything__trigger-long-running-operation',
        { duration: 0.2, steps: 2 },
        { onprogress: ({ progress }) => seen.push(progress) },
      );
      expect(seen).toEqual([1, 2]);
    });

    it('gets -32602 for a tool that does not exist', async () => {
      await expect(client.call('everything__nope')).rejects.toMatchObject({ code: -32602 });
    });
  });
});
