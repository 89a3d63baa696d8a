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
import { EgressError } from '../core/ports.ts';
import type { OwnerEndpoint } from './relay-link.ts';
import { RelayLink } from './relay-link.ts';

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

/** Outside the range that JSON-RPC and MCP reserve: what it means is said in its message. */
export const OWNER_CHANGED_CODE = 1001;

type RequestId = string | number;
type InFlight = { request: JSONRPCRequest; abort: AbortController; link: RelayLink | undefined };

const PROTOCOL_VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';
/** A start on a busy machine; clients give up on theirs after 60 seconds. */
const FIRST_LINK_MS = 45_000;
const RECOVER_MS = { first: 200, longest: 5_000 };

function isModern(request: JSONRPCRequest): boolean {
  return typeof (request.params?._meta as Record<string, unknown> | undefined)?.[PROTOCOL_VERSION_KEY] === 'string';
}

function ownerChanged(id: RequestId): JSONRPCMessage {
  const message =
    'The server process changed while this request was under way, so its outcome is unknown. Send it again if that is safe.';
  return { jsonrpc: '2.0', id, error: { code: OWNER_CHANGED_CODE, message, data: { retryable: true } } };
}

/** The JSON-RPC error in the body of an HTTP error, for the request that it answers. */
function errorInBody(error: unknown, id: RequestId): JSONRPCMessage | undefined {
  const text = (error as { data?: { text?: unknown } }).data?.text;
  if (typeof text !== 'string') return undefined;
  try {
    const body = JSON.parse(text) as { error?: { code?: unknown; message?: unknown; data?: unknown } };
    const { code, message, data } = body.error ?? {};
    if (typeof code !== 'number' || typeof message !== 'string') return undefined;
    return { jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } };
  } catch {
    return undefined;
  }
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { data?: { status?: unknown } }).data?.status;
  return typeof status === 'number' ? status : undefined;
}

/** One pipe: what its client said at the beginning, what is under way, and the owner that it is linked to now. */
class Pipe {
  readonly #deps: RelayDeps;
  readonly #stdio: StdioServerTransport;
  readonly #inFlight = new Map<RequestId, InFlight>();
  readonly #ended = new AbortController();
  #initialize: JSONRPCRequest | undefined;
  #initialized = false;
  #link: RelayLink | undefined;
  #linking: Promise<RelayLink | undefined> | undefined;
  #linked = false;
  #replays = 0;
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
    for (const { abort } of this.#inFlight.values()) abort.abort();
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
        return flight.abort.abort();
      }
    }
    if (isInitializedNotification(message)) this.#initialized = true;
    const link = await this.#connect();
    await link?.transport.send(message).catch(() => undefined);
  }

  async #request(request: JSONRPCRequest): Promise<void> {
    const flight: InFlight = { request, abort: new AbortController(), link: undefined };
    this.#inFlight.set(request.id, flight);
    if (isInitializeRequest(request)) {
      this.#initialize = request;
      this.#initialized = false;
      await this.#link?.close();
      this.#link = undefined;
    }
    // A second round only for what provably did not reach a server that knows us.
    for (let round = 1; round <= 2 && this.#inFlight.get(request.id) === flight; round += 1) {
      const link = (await this.#connect()) ?? (await this.#awaitFirst());
      if (!link) break;
      flight.link = link;
      try {
        return await link.transport.send(request, {
          requestSignal: flight.abort.signal,
          onRequestStreamEnd: () => void this.#answer(ownerChanged(request.id)),
        });
      } catch (error) {
        if (flight.abort.signal.aborted) return;
        const told = this.#judge(error, link, request);
        if (told) return this.#answer(told);
      }
    }
    await this.#answer(ownerChanged(request.id));
  }

  /** The owner may still be starting, as this process is: a client's first request waits for it. */
  async #awaitFirst(): Promise<RelayLink | undefined> {
    const { clock } = this.#deps;
    const end = clock.monotonic() + FIRST_LINK_MS;
    while (!this.#linked && !this.#ended.signal.aborted && clock.monotonic() < end) {
      await clock.sleep(RECOVER_MS.first, this.#ended.signal);
      const link = await this.#connect();
      if (link) return link;
    }
    return undefined;
  }

  /** @returns what to answer, or undefined when the request did not run and the link was given up. */
  #judge(error: unknown, link: RelayLink, request: JSONRPCRequest): JSONRPCMessage | undefined {
    const status = statusOf(error);
    const refused = status === 401 || status === 403 || (status === 404 && !isModern(request));
    const unsent = error instanceof EgressError && error.phase === 'not_sent';
    if (refused || unsent) {
      this.#giveUp(link, request.id);
      return undefined;
    }
    if (status !== undefined) return errorInBody(error, request.id) ?? ownerChanged(request.id);
    this.#giveUp(link, request.id);
    return ownerChanged(request.id);
  }

  async #answer(message: JSONRPCMessage): Promise<void> {
    if (!('id' in message) || message.id === undefined || !this.#inFlight.delete(message.id)) return;
    await this.#stdio.send(message).catch(() => undefined);
  }

  #fromOwner(link: RelayLink, message: JSONRPCMessage): void {
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      if (message.id !== undefined && message.id === this.#initialize?.id) link.settleVersion(message);
      void this.#answer(message);
    } else void this.#stdio.send(message).catch(() => undefined);
  }

  /** Ends a link; whatever else was under way on it has an unknown outcome. */
  #giveUp(link: RelayLink, except?: RequestId): void {
    if (this.#link === link) this.#link = undefined;
    void link.close();
    for (const [id, flight] of [...this.#inFlight]) {
      if (flight.link !== link || id === except) continue;
      flight.abort.abort();
      void this.#answer(ownerChanged(id));
    }
  }

  /** A legacy client is told of changes without asking, so its session is opened again without a request. */
  async #recover(link: RelayLink): Promise<void> {
    if (this.#link !== link || this.#recovering) return;
    this.#recovering = true;
    this.#giveUp(link);
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
    this.#linked = true;
    return link;
  }

  /** Opens the client's session at a new owner: the client has nothing to do, and learns that lists may differ. */
  async #replay(link: RelayLink, initialize: JSONRPCRequest): Promise<void> {
    this.#replays += 1;
    const answer = await link.ask({ ...initialize, id: `relay-initialize-${this.#replays}` });
    if (!isJSONRPCResultResponse(answer)) throw new Error('the new owner refuses the session');
    link.settleVersion(answer);
    await link.transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
    await this.#stdio.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
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
