import type { Readable, Writable } from 'node:stream';
import type { Server } from '@modelcontextprotocol/server';
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio';
import type { Log } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { Catalog } from '../flows/catalog-api.ts';
import type { ToolCall } from '../flows/tool-call.ts';
import { createProtocolServer } from './protocol-server.ts';

export type StdioFaceDeps = {
  catalog: Pick<Catalog, 'tools' | 'onChange'>;
  toolCall: ToolCall;
  version: string;
  principal: Principal;
  log: Log;
};

export interface StdioFace {
  /** Serves the client at the other end of the pipe until it closes it. */
  serve(stdin: Readable, stdout: Writable): Promise<void>;
}

class ClosingTransport extends StdioServerTransport {
  readonly closed: Promise<void>;
  readonly #resolve: () => void;

  constructor(stdin: Readable, stdout: Writable) {
    super(stdin, stdout);
    let resolve: () => void = () => undefined;
    this.closed = new Promise((done) => {
      resolve = done;
    });
    this.#resolve = resolve;
  }

  override async close(): Promise<void> {
    await super.close();
    this.#resolve();
  }
}

/** The same catalog over a pipe, for both eras: the client's first message tells which. */
export function createStdioFace(deps: StdioFaceDeps): StdioFace {
  return {
    async serve(stdin, stdout) {
      const servers = new Set<Server>();
      const transport = new ClosingTransport(stdin, stdout);
      const handle = serveStdio(
        ({ era }) => {
          const server = createProtocolServer(deps, deps.principal, era);
          servers.add(server);
          server.onclose = () => servers.delete(server);
          return server;
        },
        { transport, onerror: (error) => deps.log.debug('mcp over stdio', { error }) },
      );
      const unsubscribe = deps.catalog.onChange(() => {
        for (const server of servers) server.sendToolListChanged().catch(() => undefined);
      });
      await transport.closed;
      unsubscribe();
      await handle.close();
    },
  };
}
