import type { EventSourceMessage } from 'eventsource-parser';
import { createParser } from 'eventsource-parser';
import type { AbortLike } from '../../core/cancellation.ts';
import { encodeHeaderValue } from '../../core/param-headers.ts';
import type { Clock } from '../../core/ports.ts';
import type { AuthorizedFetch, AuthorizedInit } from '../authorized-fetch.ts';
import type { Carrier, Params } from './wire.ts';
import { WireError } from './wire.ts';

/** The upstream answered HTTP where MCP was expected. `text` is foreign: for reading errors out of it, never to show. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly status: number;
  readonly text: string;
  /** Whether the text is a JSON-RPC error that answers the request by its id. */
  readonly answers: boolean;

  constructor(status: number, text: string, answers = false) {
    super(`HTTP ${status}`);
    this.status = status;
    this.text = text;
    this.answers = answers;
  }
}

/** What the handshake agreed on. */
type Agreed = { era: 'legacy' | 'modern'; protocol_version: string | undefined; session_id: string | undefined };

export type HttpCarrierOptions = {
  endpoint: URL;
  fetch: AuthorizedFetch;
  clock: Clock;
  /** Asked at each request. */
  agreed(): Agreed;
};

type Message = Parameters<Carrier['request']>[0];
type RequestOptions = Parameters<Carrier['request']>[1];

const ACCEPT = 'application/json, text/event-stream';
const MOST_REDIRECTS = 3;
/** After its answer a stream is left to end by itself, so that its socket can be used again. */
const DRAIN_MS = 2_000;
const RESUME_MS = { first: 1_000, longest: 30_000 };
/** A reason, because an abort without one makes an exception with a stack. */
const DONE = new Error('the stream has ended');
const MOST_ERROR_BYTES = 64 * 1024;

/** Where the modern era wants the request's subject repeated in a header. */
const NAMED_BY: Record<string, string> = { 'tools/call': 'name', 'prompts/get': 'name', 'resources/read': 'uri' };

function isAnswer(message: unknown): boolean {
  return typeof message === 'object' && message !== null && !('method' in message) && 'id' in message;
}

function headersOf({ protocol_version, session_id }: Agreed): Record<string, string> {
  const headers: Record<string, string> = { accept: ACCEPT, 'content-type': 'application/json' };
  if (protocol_version) headers['mcp-protocol-version'] = protocol_version;
  if (session_id) headers['mcp-session-id'] = session_id;
  return headers;
}

async function errorText(response: Response): Promise<string> {
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (; bytes < MOST_ERROR_BYTES; ) {
      const next = await reader?.read();
      if (!next || next.done) break;
      chunks.push(next.value);
      bytes += next.value.byteLength;
    }
    await reader?.cancel();
  } catch {
    return '';
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** By these codes transports of the legacy era mean a session that they do not know, also where they answer a request. */
const SESSION_CODES = new Set([-32000, -32001]);

type Explanation = Params & { error: { code: number } };

/** The JSON-RPC error with which an upstream explains its HTTP status, if it is one to this request. */
function explained(text: string, id: number): Explanation | undefined {
  try {
    const body = JSON.parse(text) as { id?: unknown; error?: { code?: unknown } };
    return body.id === id && typeof body.error?.code === 'number' ? (body as Explanation) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * One POST per request, with what arrives on its answer's stream known to belong to it.
 * @see https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http
 */
export class HttpCarrier implements Carrier {
  readonly #options: HttpCarrierOptions;

  constructor(options: HttpCarrierOptions) {
    this.#options = options;
  }

  get cancelsByClosing(): boolean {
    return this.#options.agreed().era === 'modern';
  }

  async request(message: Message, options: RequestOptions): Promise<'ended'> {
    const agreed = this.#options.agreed();
    const { era } = agreed;
    const headers = Object.assign(headersOf(agreed), options.headers);
    if (era === 'modern') {
      headers['mcp-method'] = message.method;
      const subject = message.params[NAMED_BY[message.method] ?? ''];
      if (typeof subject === 'string') headers['mcp-name'] = encodeHeaderValue(subject);
    }
    const { signal } = options;
    const response = await this.#fetch({ method: 'POST', headers, body: JSON.stringify(message), signal });
    if (!response.ok) {
      const text = await errorText(response);
      const { status } = response;
      // In the legacy era a 404 says that the session is gone, whatever its body says.
      const tells = status === 400 || (status === 404 && era === 'modern');
      const answer = tells ? explained(text, message.id) : undefined;
      const ofSession = era === 'legacy' && answer !== undefined && SESSION_CODES.has(answer.error.code);
      if (!answer || ofSession) throw new HttpFailure(status, text, ofSession);
      options.receive(answer, text.length);
      return 'ended';
    }
    const type = response.headers.get('content-type') ?? '';
    if (type.startsWith('text/event-stream')) await this.#follow(response, options);
    else if (type.startsWith('application/json')) {
      const text = await response.text();
      const body = parse(text);
      if (body === undefined) throw new WireError('not_mcp');
      for (const one of Array.isArray(body) ? body : [body]) options.receive(one, text.length);
    } else {
      await response.body?.cancel();
      if (response.status !== 202) throw new WireError('not_mcp');
    }
    return 'ended';
  }

  async send(message: Params): Promise<void> {
    const headers = headersOf(this.#options.agreed());
    const response = await this.#fetch({ method: 'POST', headers, body: JSON.stringify(message) });
    await response.body?.cancel();
  }

  /** Redirects that keep the method are followed within the origin alone. */
  async #fetch(init: AuthorizedInit): Promise<Response> {
    let url = this.#options.endpoint;
    for (let hops = 0; ; hops += 1) {
      const response = await this.#options.fetch(url, init);
      const { status } = response;
      const location = status === 307 || status === 308 ? response.headers.get('location') : null;
      if (location === null || hops >= MOST_REDIRECTS || !URL.canParse(location, url.href)) return response;
      const next = new URL(location, url);
      if (next.origin !== url.origin || next.username !== '' || next.password !== '') return response;
      await response.body?.cancel();
      url = next;
    }
  }

  /** Reads the stream; one that broke off before the answer is resumed where the upstream numbered its events. */
  async #follow(first: Response, { signal, receive }: RequestOptions): Promise<void> {
    const { clock } = this.#options;
    let answered = false;
    let lastEventId: string | undefined;
    let pause = RESUME_MS.first;
    const take = (message: unknown, bytes: number) => {
      answered ||= isAnswer(message);
      receive(message, bytes);
    };
    for (let response: Response | undefined = first; ; ) {
      if (response) {
        const seen = await this.#read(response, take, () => answered);
        lastEventId = seen.lastEventId ?? lastEventId;
        pause = seen.retry ?? pause;
        if (!answered && seen.error && lastEventId === undefined) throw seen.error;
      }
      if (answered || lastEventId === undefined || signal.aborted) return;
      await clock.sleep(pause, signal);
      if (signal.aborted) return;
      response = await this.#resume(lastEventId, signal);
      pause = response ? RESUME_MS.first : Math.min(pause * 2, RESUME_MS.longest);
    }
  }

  /** undefined: not now, worth another try. @throws WireError when the upstream says that there is nothing to resume. */
  async #resume(lastEventId: string, signal: AbortLike): Promise<Response | undefined> {
    const { 'content-type': _, ...session } = headersOf(this.#options.agreed());
    const headers = { ...session, accept: 'text/event-stream', 'last-event-id': lastEventId };
    const response = await this.#fetch({ method: 'GET', headers, signal }).catch(() => undefined);
    if (!response || response.ok) return response;
    await response.body?.cancel();
    if (response.status >= 400 && response.status < 500) throw new WireError('stream_ended');
    return undefined;
  }

  async #read(
    response: Response,
    take: (message: unknown, bytes: number) => void,
    answered: () => boolean,
  ): Promise<{ lastEventId?: string; retry?: number; error?: Error }> {
    const seen: { lastEventId?: string; retry?: number; error?: Error } = {};
    const parser = createParser({
      onEvent: ({ id, event, data }: EventSourceMessage) => {
        if (id) seen.lastEventId = id;
        if (data !== '' && (event === undefined || event === 'message')) take(parse(data), data.length);
      },
      onRetry: (retry) => {
        seen.retry = Math.min(retry, RESUME_MS.longest);
      },
    });
    const reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
    if (!reader) return seen;
    const decoder = new TextDecoder();
    const done = new AbortController();
    let draining = false;
    try {
      for (;;) {
        const { value, done: ended } = await reader.read();
        if (ended) break;
        parser.feed(decoder.decode(value, { stream: true }));
        if (draining || !answered()) continue;
        draining = true;
        void this.#options.clock.sleep(DRAIN_MS, done.signal).then(() => reader.cancel().catch(() => undefined));
      }
    } catch (error) {
      seen.error = error instanceof Error ? error : new WireError('stream_ended');
    } finally {
      done.abort(DONE);
    }
    return seen;
  }
}

/** Something that is no JSON is no message: undefined, which nobody takes. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
