import { Duplex, type Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { EgressError, FetchInit } from './core/ports.ts';
import { WholeResponse } from './core/responses.ts';

/** Where a request goes: read off its URL once, before anything is asked about it. */
export type Destination = {
  origin: string;
  protocol: string;
  hostname: string;
  host: string;
  path: string;
  href: string;
};

export type Sending = Pick<FetchInit, 'body' | 'encoding' | 'signal'> & {
  to: Destination;
  method: string;
  /** Names and values in turn. */
  headers: string[];
  fail(error: unknown, phase: EgressError['phase']): EgressError;
};

type Controller = Dispatcher.DispatchController;

/** A body that says it is no longer than this is read whole: a stream for it would cost more than all the rest. */
const WHOLE_BYTES = 256 * 1024;

const DECODERS: Record<string, () => Duplex & Readable> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};
export const ACCEPT_ENCODING = 'gzip, deflate, br';

const NULL_BODY = new Set([204, 205, 304]);

/** As many as undici's own fetch undoes. Each costs a decoder of tens of kilobytes, and a header could name thousands. */
const MAX_CODINGS = 5;

type Head = { status: number; statusText: string; headers: Headers };

/** The greatest status that a standard response may have, and what it takes for a reason phrase (RFC 9112 §4). */
const MAX_STATUS = 599;
const REASON_PHRASE = /^[\t\x20-\x7E\x80-\xFF]*$/;

function headOf(status: number, raw: Record<string, string | string[] | undefined>, phrase = ''): Head {
  const statusText = REASON_PHRASE.test(phrase) ? phrase : '';
  const headers = new Headers();
  for (const [name, value] of Object.entries(raw)) {
    if (typeof value === 'string') headers.append(name, value);
    else for (const one of value ?? []) headers.append(name, one);
  }
  return { status, statusText, headers };
}

/** One exchange: what undici tells of it, turned into one standard response. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #sending: Sending;
  readonly #answered: (response: Response) => void;
  readonly #failed: (error: EgressError) => void;
  #controller: Controller | undefined;
  #head: Head | undefined;
  #whole: Buffer[] | undefined;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Until the request is handed to an open socket nothing was sent. */
  #phase: EgressError['phase'] = 'not_sent';
  #over = false;

  constructor(sending: Sending, answered: (response: Response) => void, failed: (error: EgressError) => void) {
    this.#sending = sending;
    this.#answered = answered;
    this.#failed = failed;
    sending.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  readonly #abort = (): void => {
    const reason: unknown = this.#sending.signal?.reason;
    const error = reason instanceof Error ? reason : new Error('aborted');
    // While the connection is still being opened nobody can be told: the request waits for it, and is dropped then.
    this.#end(error);
    this.#controller?.abort(error);
  };

  #end(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#sending.signal?.removeEventListener('abort', this.#abort);
    if (error === undefined) return;
    const failure = this.#fail(error);
    if (this.#stream) this.#stream.error(failure);
    else if (this.#whole) this.#answer(brokenOff(this.#whole, failure));
    else this.#failed(failure);
  }

  readonly #fail = (error: unknown): EgressError => this.#sending.fail(error, this.#phase);

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('aborted'));
    else this.#phase = 'perhaps_sent';
  }

  onResponseStart(
    controller: Controller,
    status: number,
    raw: Record<string, string | string[] | undefined>,
    statusText?: string,
  ): void {
    if (status < 200 || this.#over) return;
    if (status > MAX_STATUS) return void this.#giveUp(controller, 'a status that is none');
    const head = headOf(status, raw, statusText);
    const length = head.headers.get('content-length');
    const encoded = this.#sending.encoding === 'kept' ? null : head.headers.get('content-encoding');
    if (encoded !== null && encoded.split(',').length > MAX_CODINGS) {
      return void this.#giveUp(controller, 'more codings than are undone');
    }
    this.#head = head;
    if (NULL_BODY.has(status) || this.#sending.method === 'HEAD') this.#answer(null);
    else if (encoded === null && length !== null && Number(length) <= WHOLE_BYTES) this.#whole = [];
    else this.#answer(this.#streamOf(controller, encoded));
  }

  #giveUp(controller: Controller, why: string): void {
    const error = new Error(why);
    this.#end(error);
    controller.abort(error);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#whole) return void this.#whole.push(chunk);
    // Resumed, undici tells of an empty chunk: to pause at that, and be resumed by whoever reads, would never end.
    if (this.#over || !this.#stream || chunk.length === 0) return;
    this.#stream.enqueue(chunk);
    if ((this.#stream.desiredSize ?? 0) <= 0) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#over) return;
    if (this.#whole) {
      const [only = Buffer.alloc(0), ...more] = this.#whole;
      this.#answer(more.length === 0 ? only : Buffer.concat(this.#whole));
    } else this.#stream?.close();
    this.#end(undefined);
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.#end(error);
  }

  #answer(body: ReadableStream<Uint8Array> | Buffer | null): void {
    if (!this.#head) return;
    const url = this.#sending.to.href;
    try {
      if (Buffer.isBuffer(body)) {
        // A piece of what the socket has read, which nobody writes to any more.
        this.#answered(new WholeResponse(body as Uint8Array<ArrayBuffer>, { ...this.#head, url }));
        return;
      }
      const response = new Response(body, this.#head);
      Object.defineProperty(response, 'url', { value: url });
      this.#answered(response);
    } catch (error) {
      // Whoever waits must not wait for ever, whatever a response cannot be made of.
      this.#failed(this.#fail(error));
    }
  }

  /** Chunk by chunk, as they are asked for: the other side is told to wait meanwhile. */
  #streamOf(controller: Controller, encoded: string | null): ReadableStream<Uint8Array> {
    const source = new ReadableStream<Uint8Array>(
      {
        start: (stream) => {
          this.#stream = stream;
        },
        pull: () => {
          controller.resume();
        },
        cancel: (reason) => {
          this.#end(undefined);
          controller.abort(reason instanceof Error ? reason : new Error('the reader stopped'));
        },
      },
      { highWaterMark: 0 },
    );
    controller.pause();
    if (encoded === null) return source;
    const codings = encoded.toLowerCase().split(',').reverse();
    return codings.reduce((body, coding) => {
      const decoder = DECODERS[coding.trim()];
      return decoder ? decoded(body, decoder(), this.#fail) : body;
    }, source);
  }
}

/** What had arrived, and then the failure: who reads a part may still learn something from it. */
function brokenOff(chunks: Buffer[], failure: EgressError): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk) controller.enqueue(chunk);
        else controller.error(failure);
      },
    },
    { highWaterMark: 0 },
  );
}

/** The body as it was before it was encoded; one that is not what it says breaks like a connection. */
function decoded(
  body: ReadableStream<Uint8Array>,
  decoder: Duplex & Readable,
  fail: (error: unknown) => EgressError,
): ReadableStream<Uint8Array> {
  const pair = Duplex.toWeb(decoder);
  const writable = pair.writable as WritableStream<Uint8Array>;
  const reader = body.pipeThrough({ readable: pair.readable as ReadableStream<Uint8Array>, writable }).getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(fail(error));
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/**
 * Sends one request on a dispatcher. undici's own `fetch` does the same at seven times the processor time: 300 µs
 * against 45 µs for a call of a few hundred bytes.
 * @throws EgressError by `fail`
 */
export function send(dispatcher: Dispatcher, sending: Sending): Promise<Response> {
  return new Promise((resolve, reject) => {
    const { to, method, headers, body = null, signal } = sending;
    if (signal?.aborted) return reject(sending.fail(signal.reason, 'not_sent'));
    const exchange = new Exchange(sending, resolve, reject);
    const options = { origin: to.origin, path: to.path, method: method as Dispatcher.HttpMethod, headers, body };
    try {
      dispatcher.dispatch(options as Dispatcher.DispatchOptions, exchange);
    } catch (error) {
      exchange.onResponseError(undefined as never, error as Error);
    }
  });
}
