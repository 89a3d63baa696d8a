import type { Readable, Writable } from 'node:stream';
import type { JSONRPCMessage, JSONRPCRequest } from '@modelcontextprotocol/server';
import { isJSONRPCNotification, isJSONRPCRequest, type Server } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { Clock, Log, Random, Sign } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { Catalog } from '../flows/catalog-api.ts';
import type { ToolCall } from '../flows/tool-call.ts';
import { refusedDepth } from './message.ts';
import { createLegacyServer, createModernServer, type ServerDeps, sendListChanged } from './protocol-server.ts';
import { createRequestStates } from './request-state.ts';
import { followListed } from './subscriptions.ts';
import { DEFAULT_SUSPENSION, SuspendedCalls } from './suspended-calls.ts';

export type StdioFaceDeps = {
  catalog: Pick<Catalog, 'view' | 'concerns' | 'onChange'>;
  toolCall: ToolCall;
  signState: Sign;
  version: string;
  principal: Principal;
  clock: Clock;
  random: Random;
  log: Log;
};

export interface StdioFace {
  /** Serves the client at the other end of the pipe until it closes it. */
  serve(stdin: Readable, stdout: Writable): Promise<void>;
}

type Received = NonNullable<StdioServerTransport['onmessage']>;

/** Tells when the pipe is closed, and has every message pass on its way in: the SDK keeps some for itself. */
class WatchedTransport extends StdioServerTransport {
  readonly closed: Promise<void>;
  readonly #resolve: () => void;

  constructor(stdin: Readable, stdout: Writable, seen: (message: JSONRPCMessage, pass: Received) => void) {
    super(stdin, stdout);
    let resolve: () => void = () => undefined;
    this.closed = new Promise((done) => {
      resolve = done;
    });
    this.#resolve = resolve;
    let receive: Received | undefined;
    Object.defineProperty(this, 'onmessage', {
      get: () => receive,
      set: (handler: Received | undefined) => {
        receive = handler && ((message) => seen(message, handler));
      },
    });
  }

  override async close(): Promise<void> {
    await super.close();
    this.#resolve();
  }
}

type Follow = (listening: JSONRPCRequest, signal: AbortSignal) => Promise<JSONRPCRequest>;

/**
 * The resources that a client of the modern era follows over its pipe. The SDK acknowledges whatever a request asks for,
 * and never says what that is: it gets the request when the upstreams have agreed, with what they agreed to.
 */
class PipeSubscriptions {
  readonly #open = new Map<string | number, AbortController>();
  readonly #follow: Follow;

  constructor(follow: Follow) {
    this.#follow = follow;
  }

  see(message: JSONRPCMessage, pass: Received): void {
    if (isJSONRPCNotification(message) && message.method === 'notifications/cancelled') {
      this.#end(message.params?.requestId as string | number);
    }
    if (isJSONRPCRequest(message) && message.method === 'subscriptions/listen') void this.#listen(message, pass);
    else pass(message);
  }

  close(): void {
    for (const end of this.#open.values()) end.abort();
  }

  async #listen(message: JSONRPCRequest, pass: Received): Promise<void> {
    // One that takes another one's id takes its place, as with the SDK.
    this.#end(message.id);
    const end = new AbortController();
    this.#open.set(message.id, end);
    const agreed = await this.#follow(message, end.signal);
    if (!end.signal.aborted) pass(agreed);
  }

  #end(id: string | number): void {
    this.#open.get(id)?.abort();
    this.#open.delete(id);
  }
}

/** The same catalog over a pipe, for both eras: the client's first message tells which. */
export function createStdioFace(deps: StdioFaceDeps): StdioFace {
  const { catalog, principal, clock, random, log } = deps;
  const viewer = { principal, connection: undefined };
  return {
    async serve(stdin, stdout) {
      const suspended = new SuspendedCalls({ clock, random, settings: DEFAULT_SUSPENSION });
      const states = createRequestStates({ sign: deps.signState, clock });
      const server: ServerDeps = { ...deps, states, suspended };
      const servers = new Set<Server>();
      const ends: Array<() => void> = [() => suspended.close()];
      const updated = (uri: string, rest: Record<string, unknown>) => {
        // The SDK compares with what the client named.
        for (const one of servers) one.sendResourceUpdated({ ...rest, uri }).catch(() => undefined);
      };
      const subscriptions = new PipeSubscriptions((listening, signal) =>
        followListed(server, viewer, listening, updated, signal),
      );
      const transport: WatchedTransport = new WatchedTransport(stdin, stdout, (message, pass) => {
        const tooDeep = refusedDepth(message);
        if (!tooDeep) subscriptions.see(message, pass);
        else if (tooDeep.id !== null) transport.send(tooDeep as JSONRPCMessage).catch(() => undefined);
      });
      const handle = serveStdio(
        ({ era }) => {
          const opened = era === 'legacy' ? createLegacyServer(server, viewer) : undefined;
          if (opened) ends.push(opened.end);
          const serving = opened?.server ?? createModernServer(server, viewer);
          servers.add(serving);
          serving.onclose = () => servers.delete(serving);
          return serving;
        },
        { transport, onerror: (error) => log.debug('mcp over stdio', { error }) },
      );
      const unsubscribe = catalog.onChange((changes) => {
        const lists = catalog.concerns(viewer, changes);
        for (const one of servers) sendListChanged(one, lists);
      });
      await transport.closed;
      unsubscribe();
      subscriptions.close();
      for (const end of ends) end();
      await handle.close();
    },
  };
}
