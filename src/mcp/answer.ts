import type { PlainAnswer } from '../core/plain-post.ts';
import type { Clock } from '../core/ports.ts';
import { EventStream } from './event-stream.ts';

type Message = Record<string, unknown>;

/** A call that nothing was said of for this long is answered as a stream, so that nobody on the way takes it for dead. */
const BEAT_MS = 10_000;

const PROGRESS = 'notifications/progress';

/** How one request is answered: as JSON where its result is all that there is to say, else as a stream of events. */
export class Answer {
  readonly response: Promise<PlainAnswer | Response>;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #left: () => void;
  #respond!: (response: PlainAnswer | Response) => void;
  #stream: EventStream | undefined;
  #over = false;
  #silent = true;

  /** @param left called when whoever reads the stream does not want it any more */
  constructor(headers: Readonly<Record<string, string>>, left: () => void) {
    this.#headers = headers;
    this.#left = left;
    this.response = new Promise((resolve) => {
      this.#respond = resolve;
    });
  }

  /** A notification before the result. @returns false: too late for it */
  tell(message: Message): boolean {
    if (this.#over) return false;
    this.#open().message(JSON.stringify(message), message.method === PROGRESS ? 'progress' : 'told');
    return true;
  }

  /**
   * @param status of the answer where it is no stream
   * @throws RangeError a message that cannot be written, as it is nested too deeply; another one can be sent instead
   */
  finish(message: Message, status = 200): void {
    if (this.#over) return;
    const body = JSON.stringify(message);
    this.#over = true;
    if (this.#stream) {
      this.#stream.message(body, 'kept');
      this.#stream.close();
    } else {
      this.#respond({ status, headers: { 'content-type': 'application/json', ...this.#headers }, body });
    }
  }

  /** There is no answer: the client left, or cancelled the call. @returns false: there has been one */
  abandon(instead: PlainAnswer): boolean {
    if (this.#over) return false;
    this.#over = true;
    if (this.#stream) this.#stream.close();
    else this.#respond(instead);
    return true;
  }

  beat(): void {
    if (this.#over) return;
    if (this.#stream) this.#stream.keepalive();
    else if (this.#silent) this.#silent = false;
    else this.#open();
  }

  #open(): EventStream {
    if (this.#stream) return this.#stream;
    this.#stream = new EventStream(this.#headers, () => {
      if (this.#over) return;
      this.#over = true;
      this.#left();
    });
    this.#respond(this.#stream.response);
    return this.#stream;
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
