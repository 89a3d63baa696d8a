import type { Clock } from '../core/ports.ts';
import { WholeResponse } from '../core/responses.ts';

type Message = Record<string, unknown>;

/** A call that nothing was said of for this long is answered as a stream, so that nobody on the way takes it for dead. */
const BEAT_MS = 10_000;

const encoder = new TextEncoder();

const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** How one request is answered: as JSON where its result is all that there is to say, else as a stream of events. */
export class Answer {
  readonly response: Promise<Response>;
  readonly #headers: Record<string, string>;
  readonly #left: () => void;
  #respond!: (response: Response) => void;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  #over = false;
  #silent = true;

  /** @param left called when whoever reads the stream does not want it any more */
  constructor(headers: Record<string, string>, left: () => void) {
    this.#headers = headers;
    this.#left = left;
    this.response = new Promise((resolve) => {
      this.#respond = resolve;
    });
  }

  /** A notification before the result. @returns false: too late for it */
  tell(message: Message): boolean {
    if (this.#over) return false;
    this.#open();
    this.#write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
    return true;
  }

  /**
   * @param status of the answer where it is no stream
   * @throws RangeError a message that cannot be written, as it is nested too deeply; another one can be sent instead
   */
  finish(message: Message, status = 200): void {
    if (this.#over) return;
    const text = JSON.stringify(message);
    this.#over = true;
    if (this.#stream) {
      this.#write(`event: message\ndata: ${text}\n\n`);
      this.#stream.close();
    } else {
      const headers = new Headers({ 'content-type': 'application/json', ...this.#headers });
      this.#respond(new WholeResponse(encoder.encode(text) as Uint8Array<ArrayBuffer>, { status, headers }));
    }
  }

  /** There is no answer: the client left, or cancelled the call. */
  abandon(instead: () => Response): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#stream) this.#stream.close();
    else this.#respond(instead());
  }

  beat(): void {
    if (this.#over) return;
    if (this.#stream) this.#write(': keepalive\n\n');
    else if (this.#silent) this.#silent = false;
    else this.#open();
  }

  #write(frame: string): void {
    this.#stream?.enqueue(encoder.encode(frame));
  }

  #open(): void {
    if (this.#stream) return;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#stream = controller;
      },
      cancel: () => {
        if (this.#over) return;
        this.#over = true;
        this.#left();
      },
    });
    this.#respond(new Response(body, { headers: { ...STREAM_HEADERS, ...this.#headers } }));
  }
}

/** The calls under way, with one timer for all of them. */
export class OpenAnswers {
  readonly #clock: Clock;
  readonly #open = new Map<Answer, () => void>();
  readonly #closed = new AbortController();
  #beating = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param end ends the call when all is closed */
  add(answer: Answer, end: () => void): void {
    this.#open.set(answer, end);
    if (!this.#beating) void this.#beat();
  }

  delete(answer: Answer): void {
    this.#open.delete(answer);
  }

  close(): void {
    this.#closed.abort();
    for (const end of [...this.#open.values()]) end();
  }

  async #beat(): Promise<void> {
    this.#beating = true;
    while (this.#open.size > 0 && !this.#closed.signal.aborted) {
      await this.#clock.sleep(BEAT_MS, this.#closed.signal);
      for (const answer of this.#open.keys()) answer.beat();
    }
    this.#beating = false;
  }
}
