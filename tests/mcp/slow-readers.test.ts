import { afterEach, describe, expect, it, vi } from 'vitest';
import { MOST_WAITING } from '../../src/mcp/event-stream.ts';
import { bounded } from '../../src/mcp/sdk-stream.ts';
import { startEraUpstream } from './era-upstream.ts';
import { connection, openGateway, PRINCIPAL } from './gateway.ts';

type Params = Record<string, unknown>;

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

/** As the SDK writes one. */
const frame = (message: Params) => `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
const note = (method: string, index: number) => frame({ method, params: { index, text: 'x'.repeat(1_000) } });

/** A stream like the SDK's: whatever is sent is queued, whether it is read or not. */
function source() {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const cancelled = vi.fn();
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel: cancelled,
  });
  const send = (text: string) => controller.enqueue(Buffer.from(text));
  const response = new Response(body, { headers: { 'content-type': 'text/event-stream', 'mcp-session-id': 's' } });
  return { response, send, cancelled, close: () => controller.close(), fail: () => controller.error(new Error('x')) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

function messages(text: string): Array<{ id?: unknown; method?: string; params?: { index?: number } }> {
  return [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json ?? '') as Params);
}

describe("a stream of the SDK's that its client does not read", () => {
  it('keeps a bounded part of what is told, the newest, and every answer, question and acknowledgement', async () => {
    const { response, send, close } = source();
    const ended = vi.fn();
    const served = bounded(response, ended);
    expect(served.headers.get('mcp-session-id')).toBe('s');
    send(frame({ method: 'notifications/subscriptions/acknowledged', params: {} }));
    send(frame({ id: 'q', method: 'sampling/createMessage', params: {} }));
    for (let index = 0; index < 5_000; index += 1) {
      send(note('notifications/message', index));
      if (index % 100 === 0) await turn();
    }
    send(note('notifications/resources/updated', 5_000));
    send(frame({ id: 1, result: { text: 'x'.repeat(MOST_WAITING) } }));
    close();
    await vi.waitFor(() => expect(ended).toHaveBeenCalledTimes(1));
    const text = await served.text();
    expect(text.length).toBeLessThan(2.2 * MOST_WAITING);
    const all = messages(text);
    const told = all.filter(({ method }) => method === 'notifications/message');
    expect(told.length).toBeGreaterThan(100);
    expect(told.at(-1)?.params?.index).toBe(4_999);
    expect(all.filter(({ id }) => id !== undefined).map(({ id }) => id)).toEqual(['q', 1]);
    expect(all.map(({ method }) => method)).toContain('notifications/subscriptions/acknowledged');
    expect(all.at(-2)?.params?.index).toBe(5_000);
  });

  it('loses nothing of what its client reads in time', async () => {
    const { response, send, close } = source();
    const reading = bounded(response).text();
    for (let index = 0; index < 3_000; index += 1) {
      send(note('notifications/progress', index));
      await turn();
    }
    close();
    expect(messages(await reading).map(({ params }) => params?.index)).toEqual(
      Array.from({ length: 3_000 }, (_, index) => index),
    );
  });

  it('ends at its source when its client leaves, and breaks where the source breaks', async () => {
    const [left, broken] = [source(), source()];
    const ended = vi.fn();
    await bounded(left.response, ended).body?.cancel();
    await vi.waitFor(() => expect(left.cancelled).toHaveBeenCalled());
    const served = bounded(broken.response, ended);
    broken.fail();
    await expect(served.text()).rejects.toThrow('x');
    await vi.waitFor(() => expect(ended).toHaveBeenCalled());
  });

  it('is left as it is where it is no stream of events', async () => {
    const ended = vi.fn();
    const response = Response.json({ a: 1 });
    expect(bounded(response, ended)).toBe(response);
    expect(ended).toHaveBeenCalledTimes(1);
  });
});

describe('notifications of a session of the legacy era', () => {
  it('are kept within bounds where the client opened its stream and does not read it', async () => {
    const upstream = await startEraUpstream('legacy');
    cleanup.push(upstream.close);
    const gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
    cleanup.push(gateway.close);
    await vi.waitFor(() => expect(gateway.names()).toContain('up__ask'), 20_000);
    const send = (method: string, session: string | undefined, body?: Params) =>
      gateway.face.handle(
        new Request(gateway.url, {
          method,
          headers: {
            'content-type': 'application/json',
            accept: body ? 'application/json, text/event-stream' : 'text/event-stream',
            ...(session === undefined ? {} : { 'mcp-session-id': session }),
          },
          ...(body ? { body: JSON.stringify({ jsonrpc: '2.0', ...body }) } : {}),
        }),
        PRINCIPAL,
      );
    const clientInfo = { name: 't', version: '1' };
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
    const opened = await send('POST', undefined, { id: 1, method: 'initialize', params });
    await opened.text();
    const session = opened.headers.get('mcp-session-id') ?? '';
    const uri = 'mcp+up+file:///note';
    await (await send('POST', session, { id: 2, method: 'resources/subscribe', params: { uri } })).text();
    await vi.waitFor(() => expect(upstream.followed()).toEqual(['file:///note']));
    const flood = async (from: number) => {
      for (let index = from; index < from + 3_000; index += 1) {
        upstream.touch(`file:///note/${index}/${'x'.repeat(1_000)}`);
        if (index % 50 === 0) await turn();
      }
    };
    const stream = await send('GET', session);
    await flood(0);
    upstream.touch('file:///note/last');
    const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
    let text = '';
    while (!text.includes('file:///note/last')) text += Buffer.from((await reader.read()).value ?? []).toString();
    expect(text.length).toBeLessThan(1.2 * MOST_WAITING);
    await reader.cancel();
  }, 60_000);
});
