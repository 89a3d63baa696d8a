import type { Readable, Writable } from 'node:stream';
import type { JSONRPCMessage, JSONRPCRequest } from '@modelcontextprotocol/client';
import {
  isInitializedNotification,
  isInitializeRequest,
  isJSONRPCErrorResponse,
  isJSONRPCNotification,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
} from '@modelcontextprotocol/client';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import type { Clock, Fetch, Log } from '../core/ports.ts';
import type { OwnerEndpoint } from './relay-link.ts';
import { RelayLink } from './relay-link.ts';
import { isModern, isRepeatable, judge, type Outcome, ownerChanged, type RequestId } from './relay-outcome.ts';
import { SessionMemory } from './relay-session.ts';

export type RelayDeps = {
  /** Where the owner of the data directory listens now; asked again whenever the last one is gone. */
  endpoint(): Promise<OwnerEndpoint | 'owner_gone'>;
  fetch: Fetch;
  clock: Clock;
  log: Log;
};

export interface Relay {
  /** Relays between the client at the pipe and the owner until the client closes the pipe. */
  serve(stdin: Readable, stdout: Writable): Promise<void>;
}

type InFlight = {
  request: JSONRPCRequest;
  /** The link that carries it now, and how to end that attempt; the loop in `#request` decides what follows. */
  attempt: { link: RelayLink; end(outcome: Outcome): void } | undefined;
};

/** A start on a busy machine; clients give up on theirs after 60 seconds. */
const PATIENCE_MS = 45_000;
const RECOVER_MS = { first: 200, longest: 5_000 };
const RESTORE_MS = { first: 500, longest: 60_000 };

/** One pipe: what its client said at the beginning, what is under way, and the owner that it is linked to now. */
class Pipe {
  readonly #deps: RelayDeps;
  readonly #stdio: StdioServerTransport;
  readonly #inFlight = new Map<RequestId, InFlight>();
  readonly #ended = new AbortController();
  #initialize: JSONRPCRequest | undefined;
  #initialized = false;
  readonly #session = new SessionMemory();
  #link: RelayLink | undefined;
  #linking: Promise<RelayLink | undefined> | undefined;
  #asked = 0;
  #recovering = false;

  constructor(deps: RelayDeps, stdin: Readable, stdout: Writable) {
    this.#deps = deps;
    this.#stdio = new StdioServerTransport(stdin, stdout);
  }

  async run(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#stdio.onclose = resolve;
    });
    this.#stdio.onerror = (error) => this.#deps.log.debug('the pipe to the client', { error });
    this.#stdio.onmessage = (message) => void this.#fromClient(message);
    await this.#stdio.start();
    await closed;
    this.#ended.abort();
    for (const { attempt } of this.#inFlight.values()) attempt?.end('answered');
    const link = this.#link;
    if (link?.transport.sessionId) await link.transport.terminateSession().catch(() => undefined);
    await link?.close();
  }

  async #fromClient(message: JSONRPCMessage): Promise<void> {
    if (isJSONRPCRequest(message)) return this.#request(message);
    if (isJSONRPCNotification(message) && message.method === 'notifications/cancelled') {
      const flight = this.#inFlight.get(message.params?.requestId as RequestId);
      // The modern era cancels by closing the response stream, the legacy one by a message.
      if (flight && isModern(flight.request)) {
        this.#inFlight.delete(flight.request.id);
        return flight.attempt?.end('answered');
      }
    }
    if (isInitializedNotification(message)) this.#initialized = true;
    const link = await this.#connect();
    await link?.transport.send(message).catch(() => undefined);
  }

  async #request(request: JSONRPCRequest): Promise<void> {
    const flight: InFlight = { request, attempt: undefined };
    this.#inFlight.set(request.id, flight);
    if (isInitializeRequest(request)) {
      this.#initialize = request;
      this.#session.clear();
      this.#initialized = false;
      if (this.#link) this.#giveUp(this.#link);
    }
    const { clock } = this.#deps;
    const end = clock.monotonic() + PATIENCE_MS;
    const wanted = () => this.#inFlight.get(request.id) === flight && !this.#ended.signal.aborted;
    // Only what provably did not run, or may run twice, is sent again: the owner may be starting, or just have changed.
    for (let pause = RECOVER_MS.first; wanted(); pause = Math.min(pause * 2, RECOVER_MS.longest)) {
      const link = await this.#connect();
      const outcome = link ? await this.#attempt(link, flight) : 'not_run';
      if (outcome === 'answered') return;
      if (typeof outcome === 'object') return this.#answer(outcome);
      if (outcome === 'unknown' && !isRepeatable(request)) break;
      if (clock.monotonic() + pause > end) break;
      await clock.sleep(pause, this.#ended.signal);
    }
    await this.#answer(ownerChanged(request.id));
  }

  /** Sends a request over a link and waits until it is answered, or cannot be any more. */
  async #attempt(link: RelayLink, flight: InFlight): Promise<Outcome> {
    const abort = new AbortController();
    const outcome = await new Promise<Outcome>((end) => {
      flight.attempt = { link, end };
      const options = { requestSignal: abort.signal, onRequestStreamEnd: () => end('unknown') };
      link.transport.send(flight.request, options).catch((error: unknown) => end(judge(error, flight.request)));
    });
    flight.attempt = undefined;
    // An error that the owner put into words says nothing against the link.
    if (outcome === 'not_run' || outcome === 'unknown') this.#giveUp(link);
    else this.#closeUnused(link);
    abort.abort();
    return outcome;
  }

  async #answer(message: JSONRPCMessage): Promise<void> {
    if (!('id' in message) || message.id === undefined) return;
    const flight = this.#inFlight.get(message.id);
    if (!flight) return;
    this.#inFlight.delete(message.id);
    if (isJSONRPCResultResponse(message)) this.#session.keep(flight.request);
    flight.attempt?.end('answered');
    await this.#stdio.send(message).catch(() => undefined);
  }

  #fromOwner(link: RelayLink, message: JSONRPCMessage): void {
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      if (message.id !== undefined && message.id === this.#initialize?.id) link.settleVersion(message);
      void this.#answer(message);
    } else void this.#stdio.send(message).catch(() => undefined);
  }

  /** Ends a link; whatever was under way on it has an unknown outcome. */
  #giveUp(link: RelayLink): void {
    if (this.#link === link) this.#link = undefined;
    void link.close();
    for (const { attempt } of [...this.#inFlight.values()]) if (attempt?.link === link) attempt.end('unknown');
  }

  /** A link that was replaced lives for as long as something is under way on it. */
  #closeUnused(link: RelayLink): void {
    const used = [...this.#inFlight.values()].some(({ attempt }) => attempt?.link === link);
    if (this.#link !== link && !used) void link.close();
  }

  /** A legacy client is told of changes without asking, so its session is opened again without a request. */
  async #recover(link: RelayLink): Promise<void> {
    if (this.#link !== link || this.#recovering) return;
    this.#recovering = true;
    // The answers of what is under way come on streams of their own, which tell by themselves when they break.
    this.#link = undefined;
    this.#closeUnused(link);
    const { signal } = this.#ended;
    for (let pause = RECOVER_MS.first; !signal.aborted; pause = Math.min(pause * 2, RECOVER_MS.longest)) {
      if (await this.#connect()) break;
      await this.#deps.clock.sleep(pause, signal);
    }
    this.#recovering = false;
  }

  #connect(): Promise<RelayLink | undefined> {
    if (this.#link && !this.#link.closed) return Promise.resolve(this.#link);
    this.#linking ??= this.#dial()
      .catch((error: unknown) => {
        this.#deps.log.debug('no link to the owner of the data directory', { error });
        return undefined;
      })
      .finally(() => {
        this.#linking = undefined;
      });
    return this.#linking;
  }

  async #dial(): Promise<RelayLink | undefined> {
    const endpoint = await this.#deps.endpoint();
    if (endpoint === 'owner_gone' || this.#ended.signal.aborted) return undefined;
    const link: RelayLink = new RelayLink(endpoint, this.#deps, {
      onmessage: (message) => this.#fromOwner(link, message),
      onlost: () => void this.#recover(link),
    });
    await link.transport.start();
    if (this.#initialize && this.#initialized) {
      try {
        await this.#replay(link, this.#initialize);
      } catch (error) {
        await link.close();
        throw error;
      }
    }
    this.#link = link;
    return link;
  }

  /** Opens the client's session at a new owner: the client has nothing to do, and learns that lists may differ. */
  async #replay(link: RelayLink, initialize: JSONRPCRequest): Promise<void> {
    this.#asked += 1;
    const answer = await link.ask({ ...initialize, id: `relay-${this.#asked}` });
    if (!isJSONRPCResultResponse(answer)) throw new Error('the new owner refuses the session');
    link.settleVersion(answer);
    await link.transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    for (const request of this.#session.requests()) void this.#restore(link, request);
    await this.#stdio.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
  }

  /** The new owner may not reach its upstreams yet: asked again for as long as the client wants it and the link lasts. */
  async #restore(link: RelayLink, request: JSONRPCRequest): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#ended;
    for (let pause = RESTORE_MS.first; !link.closed && this.#session.has(request); ) {
      this.#asked += 1;
      const answer = await link.ask({ ...request, id: `relay-${this.#asked}` }).catch(() => undefined);
      if (answer && isJSONRPCResultResponse(answer)) return this.#missed(request);
      await clock.sleep(pause, signal);
      pause = Math.min(pause * 2, RESTORE_MS.longest);
    }
  }

  /** What changed between two owners is not known: better one hint too many. */
  async #missed({ method, params }: JSONRPCRequest): Promise<void> {
    if (method !== 'resources/subscribe') return;
    const updated = { method: 'notifications/resources/updated', params: { uri: params?.uri } };
    await this.#stdio.send({ jsonrpc: '2.0', ...updated }).catch(() => undefined);
  }
}

/**
 * Joins a second process to the one that owns the data directory: JSON-RPC lines of the pipe become HTTP requests to
 * the owner, of either era, and its answers and notifications come back. A change of owner is invisible but for
 * requests that were under way, which are answered with a retryable error.
 */
export function createRelay(deps: RelayDeps): Relay {
  return {
    serve: (stdin, stdout) => new Pipe(deps, stdin, stdout).run(),
  };
}
