import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type ArrivalLimits, limitArrival } from './arrival.ts';
import { systemClock } from './clock.ts';
import { AppError } from './core/errors.ts';
import type { PlainAnswer, PlainPost } from './core/plain-post.ts';
import { StreamedResponse, WholeResponse } from './core/responses.ts';
import { GATEWAY_PATH } from './http/gateway.ts';
import { type NodePost, plainPost } from './listen-post.ts';

/** What answers requests. */
export type Served = {
  fetch(request: Request): Promise<Response>;
  /** The short way of a plain POST. undefined: nothing was done yet, and `fetch` is to answer it. */
  post?(post: PlainPost): Promise<PlainAnswer | Response | undefined>;
};

export type Listener = {
  /** Where a process of this machine reaches it: `http://127.0.0.1:8080`. */
  origin: string;
  /** Requests before this are answered 503: the port is taken first, so that nothing is opened in vain. */
  serve(served: Served): void;
  /** Takes no new connections, and answers 503 on those that are open. */
  refuse(): void;
  /** Ends idle connections at once and the others when their answer is sent, at the latest after `grace` resolves. */
  close(grace: Promise<void>): Promise<void>;
};

/** A request may take this long to arrive, a program's upload longer; answers may stream for hours. */
const ARRIVAL: ArrivalLimits = { limit_ms: 120_000, look_ms: 30_000 };

/**
 * Far longer than clients and proxies keep a connection that rests (60 s are usual), so that none sends a request into
 * a connection that is being closed here, and cannot know whether it ran.
 */
const KEEP_ALIVE_MS = 75_000;

/**
 * Takes the address.
 * @throws AppError `port_taken` with a sentence that names it
 */
export async function listen(address: { host: string; port: number }, arrival = ARRIVAL): Promise<Listener> {
  const unavailable = (text: string): Served => ({
    fetch: async () => new Response(`${text}\n`, { status: 503, headers: { 'retry-after': '1' } }),
  });
  let served = unavailable('Starting. Try again in a moment.');
  const answer = async (request: Request, { outgoing }: { outgoing: unknown }): Promise<Response> => {
    const response = await served.fetch(request);
    if (response instanceof WholeResponse) writeWhole(response, outgoing as ServerResponse);
    else if (response instanceof StreamedResponse) void writeStreamed(response, outgoing as ServerResponse);
    else return brokenOff(response, () => (outgoing as ServerResponse).destroy());
    return RESPONSE_ALREADY_SENT;
  };
  const standard = getRequestListener(answer, { overrideGlobalObjects: false });
  const server = createServer({ connectionsCheckingInterval: arrival.look_ms }, (incoming, outgoing) => {
    const post = served.post && plainPost(incoming, outgoing);
    if (!post) return void standard(incoming, outgoing);
    answerPost(served, post, outgoing).then(
      (done) => done || void standard(incoming, outgoing),
      // Nothing throws there; if something ever does, it is this client's connection that ends, not the process.
      () => outgoing.destroy(),
    );
  });
  limitArrival(server, arrival.limit_ms, (path) => path.startsWith(`${GATEWAY_PATH}/`));
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await bind(server, address);
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  return {
    origin: originOf(address.host, (server.address() as AddressInfo).port),
    serve(given) {
      served = given;
    },
    refuse() {
      served = unavailable('Stopping. Try again in a moment.');
      server.close();
    },
    async close(grace) {
      server.close();
      server.closeIdleConnections();
      await Promise.race([closed, grace]);
      server.closeAllConnections();
      await closed;
    },
  };
}

/**
 * A plain POST without a standard request and response.
 * @returns false: it is not to be answered so, and nothing was done yet
 */
async function answerPost(served: Served, post: NodePost, outgoing: ServerResponse): Promise<boolean> {
  const answer = await served.post?.(post);
  if (!answer) return post.isBroken;
  if (answer instanceof Response) await writeStreamed(answer, outgoing);
  else writeAnswer(answer, outgoing);
  return true;
}

/** The library waits a millisecond for a second piece before it sends the headers and the first. */
const BREAK_AFTER_MS = 10;

/**
 * The library ends an answer whose body breaks with the words of the error, prints them, and its client takes a part
 * for the whole. Here what came is sent, and then the connection breaks, too. Its reader is watched instead of a
 * stream laid around the body: that costs nothing.
 */
function brokenOff(response: Response, breakOff: () => void): Response {
  const { body } = response;
  if (!body) return response;
  const reader = body.getReader();
  const read = reader.read.bind(reader);
  reader.read = () =>
    read().catch(async () => {
      await systemClock.sleep(BREAK_AFTER_MS);
      breakOff();
      return { done: true, value: undefined };
    });
  Object.defineProperty(reader, 'closed', { value: reader.closed.catch(() => undefined) });
  Object.defineProperty(body, 'getReader', { value: () => reader });
  return response;
}

/** At once with its headers: as a stream, it is read piece by piece to find out that it ends. */
function writeWhole({ status, headers, whole }: WholeResponse, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { 'content-length': whole.byteLength, ...Object.fromEntries(headers) });
  outgoing.end(whole);
}

/** Text that is given before the headers are sent leaves together with them. */
function writeAnswer({ status, headers, body }: PlainAnswer, outgoing: ServerResponse): void {
  outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
  outgoing.end(body);
}

/** No more than the caller takes, and a part is never left to be taken for the whole. */
async function writeStreamed({ status, headers, body }: Response, outgoing: ServerResponse): Promise<void> {
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  let drained: () => void = () => undefined;
  outgoing.on('drain', () => drained());
  outgoing.once('close', () => {
    drained();
    reader.cancel().catch(() => undefined);
  });
  try {
    outgoing.writeHead(status, Object.fromEntries(headers));
    outgoing.flushHeaders();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (outgoing.write(next.value) || outgoing.closed) continue;
      await new Promise<void>((resolve) => {
        drained = resolve;
      });
    }
    outgoing.end();
  } catch {
    outgoing.destroy();
  }
}

const EVERY_INTERFACE = new Set(['0.0.0.0', '::']);

function originOf(host: string, port: number): string {
  if (EVERY_INTERFACE.has(host)) return `http://127.0.0.1:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function bind(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const where = `${host}:${port}`;
      const sentence =
        error.code === 'EADDRINUSE'
          ? `The address ${where} is taken by another program. Stop it, or choose another one with --address.`
          : `The address ${where} cannot be listened on (${error.code ?? 'unknown reason'}). Choose another one with --address.`;
      reject(new AppError('port_taken', sentence, { cause: error }));
    });
    server.listen({ host, port }, resolve);
  });
}
