type Head = Pick<Response, 'status'> & Partial<Pick<Response, 'statusText' | 'headers' | 'url'>>;

/**
 * A standard response whose body has arrived already. A stream for a small body costs more than the rest of a call, so
 * none is made until somebody asks for one; whoever only passes the body on takes `whole`.
 */
export class WholeResponse extends Response {
  /** The body, not copied: not to be written to. */
  readonly whole: Uint8Array<ArrayBuffer>;
  readonly #url: string;
  #standard: Response | undefined;
  #read = false;

  constructor(whole: Uint8Array<ArrayBuffer>, { url = '', ...init }: Head) {
    super(null, init);
    this.whole = whole;
    this.#url = url;
  }

  /** The text, to the first who asks; undefined: as any response tells it, or refuses to tell it twice. */
  #text(): string | undefined {
    if (this.#read || this.#standard) return undefined;
    this.#read = true;
    return new TextDecoder().decode(this.whole);
  }

  #asStandard(): Response {
    if (this.#standard) return this.#standard;
    const { status, statusText, headers } = this;
    this.#standard = new Response(this.whole, { status, statusText, headers });
    if (this.#read) void this.#standard.arrayBuffer();
    return this.#standard;
  }

  // The types of Node declare the members of Response as properties, which a class cannot override by methods.
  static {
    const own: PropertyDescriptorMap & ThisType<WholeResponse> = {
      url: {
        get() {
          return this.#url;
        },
      },
      body: {
        get() {
          return this.#asStandard().body;
        },
      },
      bodyUsed: {
        get() {
          return this.#read || (this.#standard?.bodyUsed ?? false);
        },
      },
      text: {
        async value() {
          return this.#text() ?? this.#asStandard().text();
        },
      },
      json: {
        async value() {
          const text = this.#text();
          return text === undefined ? this.#asStandard().json() : (JSON.parse(text) as unknown);
        },
      },
    };
    for (const name of ['arrayBuffer', 'blob', 'formData', 'clone'] as const) {
      own[name] = {
        value(this: WholeResponse) {
          return this.#asStandard()[name]();
        },
      };
    }
    Object.defineProperties(WholeResponse.prototype, own);
  }
}

/** A response whose body is passed on as it comes: its headers are sent at once, and a fault breaks the answer off. */
export class StreamedResponse extends Response {}
