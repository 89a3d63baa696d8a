const encoder = new TextEncoder();

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** Characters of notifications that may wait for a client that does not read. Beyond it the half of them is dropped. */
export const MOST_WAITING = 1_048_576;

/** What is given up when too much waits: `progress` first, then what is `told` otherwise; `kept` never. */
export type Weight = 'progress' | 'told' | 'kept';

/** A response of server-sent events. What its reader does not take waits here, so that an upstream cannot fill the memory. */
export class EventStream {
  readonly response: Response;
  #waiting: { text: string; weight: Weight }[] = [];
  #droppable = 0;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #closing = false;

  /** @param left called when the reader leaves before the end */
  constructor(headers: Readonly<Record<string, string>>, left: () => void) {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#flush(),
      cancel: () => {
        this.#waiting = [];
        if (!this.#closing) left();
      },
    });
    this.response = new Response(body, { headers: { ...HEADERS, ...headers } });
  }

  /** One message, as JSON. */
  message(json: string, weight: Weight): void {
    this.frame(`event: message\ndata: ${json}\n\n`, weight);
  }

  /** Something for whoever takes a silent connection for a dead one; nobody needs it who has not read what came before. */
  keepalive(): void {
    if (this.#waiting.length === 0) this.frame(': keepalive\n\n', 'told');
  }

  close(): void {
    this.#closing = true;
    if (this.#waiting.length === 0) this.#controller.close();
  }

  /** What came before it may be lost: whoever reads is to know that this is not the end. */
  fail(error: unknown): void {
    this.#closing = true;
    this.#waiting = [];
    this.#controller.error(error);
  }

  /** One event, as it is written. */
  frame(text: string, weight: Weight): void {
    this.#waiting.push({ text, weight });
    if (weight !== 'kept') this.#droppable += text.length;
    if (this.#wanted) this.#flush();
    else if (this.#droppable > MOST_WAITING) this.#shed();
  }

  get #wanted(): boolean {
    return (this.#controller.desiredSize ?? 0) > 0;
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const text = this.#waiting.map((one) => one.text).join('');
    // Before it is handed over: a reader that waits takes it at once, and asks for more.
    this.#waiting = [];
    this.#droppable = 0;
    this.#controller.enqueue(encoder.encode(text));
    if (this.#closing) this.#controller.close();
  }

  /** The oldest go first. Down to a half, so that not every further message has to look through all that waits. */
  #shed(): void {
    for (const given of ['progress', 'told'] as const) {
      this.#waiting = this.#waiting.filter(({ text, weight }) => {
        if (weight !== given || this.#droppable <= MOST_WAITING / 2) return true;
        this.#droppable -= text.length;
        return false;
      });
    }
  }
}
