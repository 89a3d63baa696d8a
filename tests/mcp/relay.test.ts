import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { createRelay } from '../../src/mcp/relay.ts';
import { OWNER_CHANGED_CODE } from '../../src/mcp/relay-outcome.ts';
import { connection, fetchPort, type Gateway, openGateway, silentLog } from './gateway.ts';
import { connectPipe } from './pipe.ts';
import { type RawReply, startRaw } from './upstreams.ts';

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

const TOOL = { name: 't', inputSchema: { type: 'object' } };

async function upstreamOf(call: () => RawReply = () => ({ result: { content: [{ type: 'text', text: 'done' }] } })) {
  const upstream = await startRaw(({ method }) => (method === 'tools/list' ? { result: { tools: [TOOL] } } : call()));
  cleanup.push(upstream.close);
  return upstream.url;
}

/** Takes a request up, and its process is gone before it answers. */
async function startDying() {
  let hits = 0;
  const server = createServer((request) => {
    hits += 1;
    request.socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return { url: `http://127.0.0.1:${port}/mcp`, hits: () => hits, close };
}

/** Stands before an owner, and may answer in its place: whatever `meddle` leaves alone goes through. */
async function startFront(target: string, meddle: (request: IncomingMessage, response: ServerResponse) => boolean) {
  const server = createServer((incoming, response) => {
    if (meddle(incoming, response)) return;
    const { method, headers } = incoming;
    const outgoing = request(target, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    response.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

async function ownerOf(upstream: string, name = 'up'): Promise<Gateway> {
  const owner = await openGateway({ connections: [connection(name, { endpoint: upstream })] });
  await vi.waitFor(() => expect(owner.names()).toEqual([`${name}__t`]), { timeout: 10_000 });
  return owner;
}

describe.each([
  ['legacy', 'legacy'],
  ['auto', 'modern'],
] as const)('a relay for a client in mode %s', (mode, era) => {
  const connect = async (endpoint: () => Promise<{ url: string; headers: Record<string, string> } | 'owner_gone'>) => {
    const relay = createRelay({ endpoint, fetch: fetchPort, clock: systemClock, log: silentLog });
    const piped = await connectPipe((stdin, stdout) => relay.serve(stdin, stdout), mode);
    cleanup.push(piped.close);
    return piped.client;
  };

  it('carries requests, progress of the era, and errors', async () => {
    const owner = await ownerOf(await upstreamOf());
    cleanup.push(owner.close);
    const client = await connect(async () => ({ url: owner.url, headers: {} }));
    expect(client.getProtocolEra()).toBe(era);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['up__t']);
    expect(await client.callTool({ name: 'up__t' })).toMatchObject({ content: [{ text: 'done' }] });
    await expect(client.callTool({ name: 'nope' })).rejects.toMatchObject({ code: -32602 });
  });

  it('forwards notifications of the owner', async () => {
    const upstream = await upstreamOf();
    const owner = await ownerOf(upstream);
    cleanup.push(owner.close);
    const client = await connect(async () => ({ url: owner.url, headers: {} }));
    const told = vi.fn();
    client.setNotificationHandler('notifications/tools/list_changed', told);
    if (era === 'modern') await client.listen({ toolsListChanged: true });
    let count = 0;
    await vi.waitFor(
      async () => {
        count += 1;
        owner.add(connection(`more-${count}`, { endpoint: upstream }));
        await vi.waitFor(() => expect(told).toHaveBeenCalled(), { timeout: 500 });
      },
      { timeout: 20_000 },
    );
  });

  it('goes on with a new owner without the client noticing', async () => {
    const upstream = await upstreamOf();
    let owner = await ownerOf(upstream);
    const client = await connect(async () => ({ url: owner.url, headers: {} }));
    await client.callTool({ name: 'up__t' });
    const gone = owner;
    owner = await ownerOf(upstream, 'next');
    cleanup.push(() => owner.close());
    await gone.close();
    // A request that meets the dying socket has an unknown outcome; the one after it must pass.
    const result = await client.callTool({ name: 'next__t' }).catch(() => client.callTool({ name: 'next__t' }));
    expect(result).toMatchObject({ content: [{ text: 'done' }] });
  });

  it('answers what was under way at the change with an error that says to send it again', async () => {
    let arrived = () => {};
    const hanging = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const upstream = await upstreamOf(() => {
      arrived();
      return { hang: true };
    });
    let owner = await ownerOf(upstream);
    let there = true;
    const client = await connect(async () => (there ? { url: owner.url, headers: {} } : 'owner_gone'));
    const call = client.callTool({ name: 'up__t' });
    const outcome = expect(call).rejects.toMatchObject({ code: OWNER_CHANGED_CODE, data: { retryable: true } });
    await hanging;
    there = false;
    await owner.close();
    await outcome;
    // Nothing was sent, so this one waits for the next owner.
    const next = client.listTools();
    owner = await ownerOf(upstream, 'next');
    cleanup.push(() => owner.close());
    there = true;
    expect((await next).tools.map(({ name }) => name)).toEqual(['next__t']);
  });

  it('tries the record of an owner that is gone until the next owner has written its own', async () => {
    const upstream = await upstreamOf();
    const gone = await ownerOf(upstream);
    await gone.close();
    const owner = await ownerOf(upstream);
    cleanup.push(owner.close);
    let asked = 0;
    const client = await connect(async () => {
      asked += 1;
      return { url: asked <= 3 ? gone.url : owner.url, headers: {} };
    });
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['up__t']);
  });

  it('sends nothing over a connection that the owner may be closing because it rested', async () => {
    const owner = await ownerOf(await upstreamOf());
    cleanup.push(owner.close);
    const used = new WeakSet<object>();
    const url = await startFront(owner.url, ({ socket }) => {
      if (used.has(socket)) socket.destroy();
      used.add(socket);
      return socket.destroyed;
    });
    const client = await connect(async () => ({ url, headers: {} }));
    for (let call = 0; call < 5; call += 1) {
      expect(await client.callTool({ name: 'up__t' })).toMatchObject({ content: [{ text: 'done' }] });
    }
  });

  it('sends a call again that met an owner which is starting or stopping', async () => {
    const owner = await ownerOf(await upstreamOf());
    cleanup.push(owner.close);
    let refusals = 0;
    let left = 0;
    const url = await startFront(owner.url, (_request, response) => {
      if (left === 0) return false;
      left -= 1;
      refusals += 1;
      response.writeHead(503, { 'content-type': 'text/plain' }).end('Stopping. Try again in a moment.\n');
      return true;
    });
    const client = await connect(async () => ({ url, headers: {} }));
    await client.listTools();
    left = 2;
    expect(await client.callTool({ name: 'up__t' })).toMatchObject({ content: [{ text: 'done' }] });
    expect(refusals).toBe(2);
  });

  it('opens the session again when the owner dies while it is being opened', async () => {
    const upstream = await upstreamOf();
    const dying = await startDying();
    cleanup.push(dying.close);
    const owner = await ownerOf(upstream);
    cleanup.push(owner.close);
    const client = await connect(async () => ({ url: dying.hits() < 2 ? dying.url : owner.url, headers: {} }));
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['up__t']);
  });

  it('gives up on an owner that never comes, in words that say what is unknown', async () => {
    let now = 0;
    const sleep = async (ms: number) => {
      now += ms;
    };
    const clock = { ...systemClock, monotonic: () => now, sleep };
    const relay = createRelay({ endpoint: async () => 'owner_gone', fetch: fetchPort, clock, log: silentLog });
    const connecting = connectPipe((stdin, stdout) => relay.serve(stdin, stdout), mode);
    await expect(connecting).rejects.toMatchObject({ code: OWNER_CHANGED_CODE });
  });
});

it('a legacy call under way is answered although the stream of notifications was lost meanwhile', async () => {
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let arrived = () => {};
  const running = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const upstream = await startRaw(async ({ method }) => {
    if (method === 'tools/list') return { result: { tools: [TOOL] } };
    arrived();
    await released;
    return { result: { content: [{ type: 'text', text: 'late' }] } };
  });
  cleanup.push(upstream.close);
  const owner = await ownerOf(upstream.url);
  cleanup.push(owner.close);
  const streams: ServerResponse[] = [];
  let opened = 0;
  let lost = 0;
  const url = await startFront(owner.url, ({ method }, response) => {
    if (method !== 'GET') return false;
    opened += 1;
    streams.push(response);
    if (opened !== 2) return false;
    lost += 1;
    response.writeHead(500).end();
    return true;
  });
  const relay = createRelay({
    endpoint: async () => ({ url, headers: {} }),
    fetch: fetchPort,
    clock: systemClock,
    log: silentLog,
  });
  const piped = await connectPipe((stdin, stdout) => relay.serve(stdin, stdout), 'legacy');
  cleanup.push(piped.close);
  await vi.waitFor(() => expect(opened).toBe(1));
  const call = piped.client.callTool({ name: 'up__t' });
  await running;
  streams[0]?.destroy();
  // The second stream is refused, and the third belongs to the session that replaces the first.
  await vi.waitFor(() => expect(opened).toBeGreaterThan(2), { timeout: 20_000 });
  expect(lost).toBe(1);
  release();
  expect(await call).toMatchObject({ content: [{ text: 'late' }] });
  expect(await piped.client.callTool({ name: 'up__t' })).toMatchObject({ content: [{ text: 'late' }] });
});
