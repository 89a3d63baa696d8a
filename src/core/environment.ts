import type { AbortLike } from './cancellation.ts';
import type { ConnectionConfig } from './connection.ts';
import type { FieldIssue } from './errors.ts';
import type { Secret } from './redact.ts';
import type { Instant } from './token-set.ts';

/** The only teller of time. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): Instant;
  /** Milliseconds that never step back; only differences mean something. */
  monotonic(): number;
  /** Resolves after `ms`, at once when the signal aborts (without an error). Does not keep the process alive. */
  sleep(ms: number, signal?: AbortLike): Promise<void>;
  /** Aborts after `ms` with a TimeoutError. */
  timeout(ms: number): AbortSignal;
}

/** The only source of chance. */
export interface Random {
  bytes(length: number): Uint8Array;
  uuid(): string;
  /** Uniform in [0, 1): for jitter, never for secrets. */
  fraction(): number;
}

export type LogFields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Log;
}

/** Certificates and keys of one destination, as PEM. */
export type TlsMaterial = {
  /** Trusted beside the authorities that everybody trusts. */
  ca?: string;
  /** Shown to the server, which asks for it; its chain may follow it. */
  cert?: string;
  key?: Secret;
};

export type FetchInit = {
  method?: string;
  headers?: Record<string, string> | Headers;
  body?: string | Uint8Array | ReadableStream<Uint8Array>;
  signal?: AbortLike;
  /** Never followed by default: a redirect would carry the secret elsewhere. */
  redirect?: 'manual' | 'error';
  /**
   * `fresh`: on a connection of its own. A pooled one may have been closed by the other side at the very moment of
   * sending, and then nobody can tell whether the request arrived: not worth it where a single-use token is sent.
   */
  connection?: 'pooled' | 'fresh';
  /** `kept`: a compressed body is handed on as it came, with its Content-Encoding. Decoded by default. */
  encoding?: 'decoded' | 'kept';
  /**
   * `typed`: an operator typed this URL, so private and loopback destinations are legitimate. `discovered`: it came
   * from a remote document, so it may lead into a private network only where `origin_of_trust` does.
   */
  trust: { url: 'typed' } | { url: 'discovered'; origin_of_trust: string };
  /** Left out: the authorities that everybody trusts, and no client certificate. */
  tls?: TlsMaterial;
};

/**
 * The only way out to the network.
 * @throws EgressError when nothing was sent or the connection broke; see its `phase`.
 */
export type Fetch = (url: string | URL, init: FetchInit) => Promise<Response>;

/** Where a request broke: before any byte left, or after some may have. Only the first proves that nothing happened. */
export class EgressError extends Error {
  override readonly name = 'EgressError';
  readonly phase: 'not_sent' | 'perhaps_sent';
  readonly reason: 'dns' | 'connect' | 'tls' | 'egress_refused' | 'timeout' | 'reset' | 'aborted';

  constructor(phase: EgressError['phase'], reason: EgressError['reason'], message: string) {
    super(message);
    this.phase = phase;
    this.reason = reason;
  }
}

/** A keyed signature of a text, the same on every replica: nobody without the key can make it. */
export type Sign = (text: string) => string;

/** Turns a refresh token into a short keyed mark: equal for equal tokens, useless to anybody without the key. */
export type Fingerprint = (token: Secret) => string;

/** What is unsound about the keys and certificates of a configuration, each with the name of its field. */
export type KeyMaterialCheck = (config: ConnectionConfig, now: Instant) => FieldIssue[];
