import type { AbortLike } from '../../core/cancellation.ts';
import { AppError } from '../../core/errors.ts';
import { isRecord, MOST_DEPTH, nestsDeeperThan } from '../../core/json-shape.ts';
import type { Clock, ToolkitCall, ToolkitClient } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { TimeLimits } from '../time-limits.ts';
import { Exchange, untilAllOver } from './pending-exchange.ts';
import { isListMethod } from './upstream-list.ts';

export type Params = Record<string, unknown>;
export type RpcId = string | number;

/** How messages of ours leave, and where those that belong to one request come back. */
export interface Carrier {
  /**
   * Sends a request. `ended`: nothing more can come for it; `open`: answers arrive on a stream that all requests share.
   * `signal` gives the request up, `receive` takes what arrives on its own stream.
   */
  request(
    message: { id: number; method: string; params: Params },
    options: { signal: AbortLike; headers: Record<string, string>; receive(message: unknown, bytes: number): void },
  ): Promise<'ended' | 'open'>;
  /** A notification or an answer of ours. */
  send(message: Params): Promise<void>;
  /** Whether giving up a request's stream is itself the cancellation (2026-07-28 over HTTP). */
  readonly cancelsByClosing: boolean;
}

export type WireHooks = {
  /** A notification that is neither progress nor a cancellation; `client`: whom it belongs to, if that is known. */
  notified(method: string, params: Params, client: ToolkitClient | undefined): void;
  /** Whom the upstream may ask where no stream tells which call it means. */
  fallback(): ToolkitClient | undefined;
};

export type WireRequest = {
  method: string;
  params: Params;
  call: ToolkitCall;
  timeout: number;
  headers: Record<string, string>;
};

/** Why the wire gave a request up by itself. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly reason: 'timeout' | 'stream_ended' | 'closed' | 'not_mcp';

  constructor(reason: WireError['reason']) {
    super(reason);
    this.reason = reason;
  }
}

/** Our ids, apart from those of the SDK's client on the same session, which counts from 0. */
const FIRST_ID = 1_000_000;
const MOST_ASKS = 32;
/** Text below this cannot nest so deeply that it is worth a look. */
const SHALLOW_BYTES = 16 * 1024;

const ASKABLE: Record<string, string> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
};

/**
 * The conversation with one upstream, message by message and verbatim: the SDK's client would validate results, drop
 * what it does not know and refuse a whole list over one bad tool. It still does the handshake and the streams.
 */
export class Wire {
  readonly #carrier: Carrier;
  readonly #clock: Clock;
  readonly #limits: TimeLimits;
  readonly #hooks: WireHooks;
  readonly #pending = new Map<number, Exchange>();
  readonly #asks = new Map<RpcId, AbortController>();
  #nextId = FIRST_ID;
  #knowsRoots = false;

  constructor(carrier: Carrier, clock: Clock, hooks: WireHooks) {
    this.#carrier = carrier;
    this.#clock = clock;
    this.#limits = new TimeLimits(clock);
    this.#hooks = hooks;
  }

  get knowsRoots(): boolean {
    return this.#knowsRoots;
  }

  /** @throws RpcError, AppError, WireError, or whatever the carrier throws; the reason of `call.signal` once it aborts. */
  async request({ method, params, call, timeout, headers }: WireRequest): Promise<Params> {
    call.signal.throwIfAborted();
    const id = this.#nextId++;
    const late = () => this.#giveUp(id, exchange, new WireError('timeout'));
    const exchange = new Exchange({ call, now: this.#clock.monotonic(), timeout, late, list: isListMethod(method) });
    this.#pending.set(id, exchange);
    const leave = () => this.#giveUp(id, exchange, call.signal.reason);
    call.signal.addEventListener('abort', leave, { once: true });
    this.#limits.watch(exchange);
    const meta = call.onprogress ? { ...(params._meta as Params | undefined), progressToken: id } : params._meta;
    const message = { jsonrpc: '2.0', id, method, params: meta === undefined ? params : { ...params, _meta: meta } };
    this.#carrier
      .request(message, {
        signal: exchange.given_up,
        headers,
        receive: (received, bytes) => void this.receive(received, { exchange, bytes }),
      })
      .then(
        (end) => {
          if (end === 'ended' && !exchange.over.aborted) exchange.fail(new WireError('stream_ended'));
        },
        (error: unknown) => exchange.fail(error),
      );
    try {
      return await exchange.outcome;
    } finally {
      call.signal.removeEventListener('abort', leave);
      this.#limits.forget(exchange);
      this.#pending.delete(id);
    }
  }

  /** Takes what the upstream sent. @returns false: not ours, the SDK's client may have it. */
  receive(message: unknown, from?: { exchange: Exchange; bytes: number }): boolean {
    if (!isRecord(message)) return false;
    const { id, method } = message;
    if (typeof method === 'string') {
      const params = isRecord(message.params) ? message.params : {};
      // Nobody downstream could serialise it: a notification is dropped, a question refused.
      if (nestsDeeperThan(params, MOST_DEPTH)) return this.#tooDeep(id);
      if (typeof id !== 'string' && typeof id !== 'number') return this.#notified(method, params, from?.exchange);
      if (this.#carrier.cancelsByClosing) return false;
      void this.#answer(id, method, params, from?.exchange);
      return true;
    }
    const exchange = typeof id === 'number' || typeof id === 'string' ? this.#pending.get(Number(id)) : undefined;
    // On the stream of one call, nothing answers another one: that may be somebody else's.
    if (!exchange || (from && from.exchange !== exchange)) return false;
    this.#settle(exchange, message, from?.bytes ?? Number.POSITIVE_INFINITY);
    return true;
  }

  /** Tells the upstream something that belongs to no request. */
  async tell(method: string): Promise<void> {
    await this.#carrier.send({ jsonrpc: '2.0', method }).catch(() => undefined);
  }

  /** The session is over: nothing will be answered any more. */
  closed(): void {
    for (const exchange of this.#pending.values()) {
      exchange.fail(new WireError('closed'));
      // Else its stream is read, and resumed, for as long as the upstream likes.
      exchange.given_up.abort();
    }
    for (const ask of this.#asks.values()) ask.abort(new WireError('closed'));
  }

  #settle(exchange: Exchange, { result, error }: Params, bytes: number): void {
    if (isRecord(error) && typeof error.code === 'number') {
      const message = typeof error.message === 'string' ? error.message : '';
      const data = bytes > SHALLOW_BYTES && nestsDeeperThan(error.data, MOST_DEPTH) ? undefined : error.data;
      exchange.fail(new RpcError(error.code, message, data));
    } else if (!isRecord(result)) {
      exchange.fail(new WireError('not_mcp'));
    } else if (!exchange.list && bytes > SHALLOW_BYTES && nestsDeeperThan(result, MOST_DEPTH)) {
      const text = `The upstream's answer is nested more than ${MOST_DEPTH} levels deep, which is refused.`;
      exchange.fail(new AppError('upstream_failed', text));
    } else exchange.succeed(result);
  }

  #giveUp(id: number, exchange: Exchange, reason: unknown): void {
    exchange.fail(reason);
    if (!this.#carrier.cancelsByClosing) {
      const why = reason instanceof WireError ? reason.reason : 'the caller left';
      const params = { requestId: id, reason: why };
      this.#carrier
        .send({ jsonrpc: '2.0', method: 'notifications/cancelled', params })
        .catch(() => undefined)
        .finally(() => exchange.given_up.abort());
    } else exchange.given_up.abort();
  }

  #tooDeep(id: unknown): true {
    if ((typeof id === 'string' || typeof id === 'number') && !this.#carrier.cancelsByClosing) {
      const error = { code: -32602, message: `Nested more than ${MOST_DEPTH} levels deep.` };
      this.#carrier.send({ jsonrpc: '2.0', id, error }).catch(() => undefined);
    }
    return true;
  }

  #notified(method: string, params: Params, from: Exchange | undefined): boolean {
    if (method === 'notifications/progress') {
      const exchange = this.#pending.get(Number(params.progressToken));
      if (!exchange) return false;
      exchange.moved(this.#clock.monotonic());
      const { progress, total, message } = params;
      if (typeof progress !== 'number') return true;
      exchange.call.onprogress?.({
        progress,
        ...(typeof total === 'number' ? { total } : {}),
        ...(typeof message === 'string' ? { message } : {}),
      });
      return true;
    }
    if (method === 'notifications/cancelled') {
      const ask = this.#asks.get(params.requestId as RpcId);
      ask?.abort(new Error('the upstream cancelled its request'));
      return ask !== undefined;
    }
    this.#hooks.notified(method, params, from?.call.client);
    return false;
  }

  /** What the upstream wants of the client in the midst of a call; it hears of every outcome. */
  async #answer(id: RpcId, method: string, params: Params, from: Exchange | undefined): Promise<void> {
    const outcome = method === 'ping' ? { result: {} } : await this.#ask(id, method, params, from);
    if (outcome) await this.#carrier.send({ jsonrpc: '2.0', id, ...outcome }).catch(() => undefined);
  }

  /** Where no stream tells which call a question belongs to, it may be any of that client: all of them wait for it. */
  #of(client: ToolkitClient | undefined): Exchange[] {
    const same = (other: ToolkitClient | undefined) =>
      other === client || (other?.session !== undefined && other.session.id === client?.session?.id);
    return client ? [...this.#pending.values()].filter(({ call }) => same(call.client)) : [];
  }

  async #ask(id: RpcId, method: string, params: Params, from: Exchange | undefined): Promise<Params | undefined> {
    const refuse = (code: number, message: string): Params => ({ error: { code, message } });
    const capability = ASKABLE[method];
    if (capability === undefined) return refuse(-32601, 'Method not found');
    const fallback = this.#hooks.fallback();
    const client = fallback && (from?.call.client ?? fallback);
    const exchanges = from ? [from] : this.#of(fallback);
    if (!client || !(capability in client.capabilities)) {
      if (method === 'roots/list') return { result: { roots: [] } };
      return refuse(-32601, `The client of this call does not support ${capability}.`);
    }
    if (this.#asks.size >= MOST_ASKS) return refuse(-32603, 'Too many requests to the client at once.');
    const cancelled = new AbortController();
    this.#asks.set(id, cancelled);
    for (const exchange of exchanges) exchange.asked();
    this.#knowsRoots ||= method === 'roots/list';
    const signal = exchanges.length > 0 ? untilAllOver(exchanges, cancelled.signal) : cancelled.signal;
    try {
      return { result: await client.ask(method, params, signal) };
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof RpcError) {
        const { code, message, data } = error;
        return { error: { code, message, ...(data === undefined ? {} : { data }) } };
      }
      return refuse(-32603, 'The client could not be asked.');
    } finally {
      this.#asks.delete(id);
      for (const exchange of exchanges) exchange.answered(this.#clock.monotonic());
    }
  }
}
