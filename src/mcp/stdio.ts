import type { Readable, Writable } from 'node:stream';
import type { JSONRPCMessage } from '@modelcontextprotocol/server';
import { isJSONRPCNotification, isJSONRPCRequest, type Server } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { Clock, Log, Random, Sign } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { Catalog } from '../flows/catalog-api.ts';
import type { ToolCall } from '../flows/tool-call.ts';
import { createLegacyServer, createModernServer, type ServerDeps, sendListChanged } from './protocol-server.ts';
import { createRequestStates } from './request-state.ts';
import { followResource } from './subscriptions.ts';
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

/** Tells when the pipe is closed, and shows every message on its way in: the SDK keeps some for itself. */
class WatchedTransport extends StdioServerTransport {
  readonly closed: Promise<void>;
  readonly #resolve: () => void;

  constructor(stdin: Readable, stdout: Writable, seen: (message: JSONRPCMessage) => void) {
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
        receive =
          handler &&
          ((message) => {
            seen(message);
            handler(message);
          });
      },
    });
  }

  override async close(): Promise<void> {
    await super.close();
    this.#resolve();
  }
}

/** The resources that a client of the modern era follows over its pipe: the SDK filters, and never says which. */
class PipeSubscriptions {
  readonly #open = new Map<string | number, AbortController>();
  readonly #follow: (uri: string, signal: AbortSignal) => void;

  constructor(follow: (uri: string, signal: AbortSignal) => void) {
    this.#follow = follow;
  }

  see(message: JSONRPCMessage): void {
    if (isJSONRPCNotification(message) && message.method === 'notifications/cancelled') {
      const id = message.params?.requestId as string | number;
      this.#open.get(id)?.abort();
      this.#open.delete(id);
    }
    if (!isJSONRPCRequest(message) || message.method !== 'subscriptions/listen') return;
    const filter = message.params?.notifications as { resourceSubscriptions?: unknown } | undefined;
    if (!Array.isArray(filter?.resourceSubscriptions)) return;
    const end = new AbortController();
    this.#open.set(message.id, end);
    for (const uri of filter.resourceSubscriptions) if (typeof uri === 'string') this.#follow(uri, end.signal);
  }

  close(): void {
    for (const end of this.#open.values()) end.abort();
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
      const subscriptions = new PipeSubscriptions((uri, signal) => {
        const updated = (params: Record<string, unknown>) => {
          // The SDK compares with what the client named.
          for (const one of servers) one.sendResourceUpdated({ ...params, uri }).catch(() => undefined);
        };
        followResource(server, viewer, uri, updated, signal).catch((error: unknown) =>
          log.debug('a resource is not followed', { error }),
        );
      });
      const transport = new WatchedTransport(stdin, stdout, (message) => subscriptions.see(message));
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
