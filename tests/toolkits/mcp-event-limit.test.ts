import { expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../src/clock.ts';
import type { Fetch } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { createUpstreamFetch, MAX_BODY_BYTES } from '../../src/toolkits/mcp/upstream-fetch.ts';
import { connection, silentLog } from '../mcp/gateway.ts';

const ENDPOINT = 'http://127.0.0.1:1/mcp';
const MIB = 1024 * 1024;

/** A stream of events made of `chunk`, `times` times, and how much of it was read. */
function upstream(chunk: string, times: number) {
  const bytes = new TextEncoder().encode(chunk);
  let sent = 0;
  const fetch: Fetch = async () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        if (sent > times) controller.close();
        else controller.enqueue(bytes);
      },
    });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  };
  const { key, config } = connection('up', { endpoint: ENDPOINT });
  const request = createUpstreamFetch(
    {
      key,
      config,
      fetch,
      log: silentLog,
      clock: systemClock,
      random: systemRandom,
      accessToken: async () => new Secret('token'),
      authEvents: { append: async () => undefined },
    },
    new URL(ENDPOINT),
  );
  return { request: () => request(ENDPOINT, { method: 'POST' }), sent: () => sent };
}

async function readAll(response: Response): Promise<number> {
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += (chunk as Uint8Array).byteLength;
  return bytes;
}

it('ends a stream whose one event never ends before it fills the memory of everybody (lesson 38)', async () => {
  const { request, sent } = upstream('x'.repeat(MIB), 10_000);
  await expect(readAll(await request())).rejects.toThrow('larger than 64 MiB');
  expect(sent()).toBeLessThan(MAX_BODY_BYTES / MIB + 10);
});

it('is not deceived by line breaks within one event', async () => {
  const { request } = upstream(`data: ${'x'.repeat(MIB)}\r\n`, 10_000);
  await expect(readAll(await request())).rejects.toThrow('larger than 64 MiB');
});

it('lets a stream of events last as long as it likes', async () => {
  const event = `data: ${'x'.repeat(MIB)}\r\n\r\n`;
  const { request } = upstream(event, 80);
  expect(await readAll(await request())).toBe(80 * event.length);
});
