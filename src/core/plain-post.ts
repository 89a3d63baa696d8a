/** The value of a header as `Headers` gives it; null: there is none. */
export type HeaderReader = Pick<Headers, 'get'>;

/** What is looked at of a request before its body is read. A standard Request is one. */
export type RequestHead = { readonly method: string; readonly url: string; readonly headers: HeaderReader };

/**
 * A POST with nothing unusual about it, its body of declared length: what a call of a tool needs of a request. A standard
 * Request with its signal and its Response cost more than all that we do of a call.
 */
export interface PlainPost extends RequestHead {
  readonly method: 'POST';
  /** Once. undefined: the client left before it had sent all of it, and nobody is to be answered. */
  text(): Promise<string | undefined>;
  /** Calls back when the client leaves before it has its answer. */
  onGone(left: () => void): void;
}

/** An answer that is complete, with all of its headers but those that say where it ends. */
export type PlainAnswer = { status: number; headers: Readonly<Record<string, string>>; body: string };
