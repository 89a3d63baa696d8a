/** As much of a streamed body is kept for the one retry after a 401; more is passed on and forgotten. */
export const KEPT_BYTES = 65_536;

/**
 * A request body that arrives as a stream and is sent on as it comes. While no more than a little has arrived it can be
 * sent once more from its beginning: what was kept, then the rest, as it comes.
 */
export class ReplayBody {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #moved: (bytes: number) => void;
  #kept: Uint8Array[] = [];
  #size = 0;
  #forgotten = false;
  #ended = false;
  #reading: Promise<void> | undefined;
  #current = 0;

  /** @param moved told of every chunk that arrives */
  constructor(source: ReadableStream<Uint8Array>, moved: (bytes: number) => void) {
    this.#reader = source.getReader();
    this.#moved = moved;
  }

  /** The body from its beginning; a stream made earlier is not to be read any more. */
  stream(): ReadableStream<Uint8Array> {
    let next = 0;
    this.#current += 1;
    const mine = this.#current;
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          while (next >= this.#kept.length && !this.#ended) await this.#read();
          if (mine !== this.#current) return controller.close();
          const chunk = this.#kept[next];
          if (chunk === undefined) return controller.close();
          if (this.#forgotten) this.#kept.splice(0, next + 1);
          next = this.#forgotten ? 0 : next + 1;
          controller.enqueue(chunk);
        },
        // Whoever stops reading may have been told 401: the source is needed for the retry.
        cancel: () => undefined,
      },
      { highWaterMark: 0 },
    );
  }

  /** The body once more; undefined when its beginning is gone. */
  again(): ReadableStream<Uint8Array> | undefined {
    return this.#forgotten ? undefined : this.stream();
  }

  /** Tells the sender that nobody reads on. */
  async release(): Promise<void> {
    if (!this.#ended) await this.#reader.cancel().catch(() => undefined);
  }

  /** One read at a time: a chunk that arrives for a stream that was given up is there for the next. */
  async #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #readOnce(): Promise<void> {
    const { done, value } = await this.#reader.read();
    if (done) {
      this.#ended = true;
      return;
    }
    this.#moved(value.byteLength);
    this.#size += value.byteLength;
    if (this.#size > KEPT_BYTES) this.#forgotten = true;
    this.#kept.push(value);
  }
}
