import type { Server } from '@modelcontextprotocol/server';
import { isInitializeRequest, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';
import { connectionLabel } from '../core/connection.ts';
import type { HeaderReader, PlainAnswer } from '../core/plain-post.ts';
import type { Clock } from '../core/ports.ts';
import type { Viewer } from '../flows/catalog-api.ts';
import type { OpenAnswers } from './answer.ts';
import { missingSession, tooManySessions, unknownSession, wrongMethod } from './http-replies.ts';
import { LegacyCalls } from './legacy-call.ts';
import { isLegacyCall } from './plain-call.ts';
import { createLegacyServer, type ServerDeps, sendListChanged } from './protocol-server.ts';
import { bounded } from './sdk-stream.ts';

export type LegacySessionSettings = {
  /** A session without a request or an open stream for this long is ended; its client initializes again. */
  idle: number;
  /** How many there may be, in all and of one principal; the longest idle one gives way. */
  most: number;
  most_per_principal: number;
};

export const DEFAULT_LEGACY_SESSIONS: LegacySessionSettings = {
  idle: 30 * 60_000,
  most: 1_000,
  most_per_principal: 200,
};

type LegacySession = {
  server: Server;
  transport: WebStandardStreamableHTTPServerTransport;
  viewer: Viewer;
  calls: LegacyCalls;
  end(): void;
  used_at: number;
  open_streams: number;
};

export type LegacySessionDeps = {
  server: ServerDeps;
  open: OpenAnswers;
  clock: Clock;
  maxBodyBytes: number;
  settings: LegacySessionSettings;
};

/** A session serves whoever opened it for as long as they may use what they might use then. */
function sameViewer(a: Viewer, b: Viewer): boolean {
  const label = ({ connection }: Viewer) => connection && connectionLabel(connection);
  const { actor, access } = a.principal;
  return actor === b.principal.actor && access === b.principal.access && label(a) === label(b);
}

/** Sessions of the legacy era (≤ 2025-11-25), each bound to whoever opened it and living on this process alone. */
export class LegacySessions {
  readonly #deps: LegacySessionDeps;
  readonly #sessions = new Map<string, LegacySession>();
  readonly #closed = new AbortController();
  readonly #unsubscribe: () => void;

  constructor(deps: LegacySessionDeps) {
    this.#deps = deps;
    const { catalog } = deps.server;
    this.#unsubscribe = catalog.onChange((changes) => {
      for (const { server, viewer } of this.#sessions.values()) {
        sendListChanged(server, catalog.concerns(viewer, changes));
      }
    });
    void this.#sweep();
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A plain call on a session. undefined: `handle` is to answer it. */
  call(headers: HeaderReader, body: unknown, viewer: Viewer): Promise<PlainAnswer | Response> | undefined {
    if (!isLegacyCall(headers, body)) return undefined;
    const id = headers.get('mcp-session-id') ?? '';
    const session = this.#sessions.get(id);
    if (!session || !sameViewer(session.viewer, viewer)) return undefined;
    const ended = this.#began(session);
    const answer = session.calls.answer(body, id, ended);
    if (!answer) ended();
    return answer;
  }

  async handle(request: Request, body: unknown, viewer: Viewer): Promise<Response> {
    if (!['GET', 'POST', 'DELETE'].includes(request.method)) return wrongMethod();
    const id = request.headers.get('mcp-session-id');
    if (id === null) {
      const opening = request.method === 'POST' && isInitializeRequest(body);
      return opening ? this.#open(request, body, viewer) : missingSession();
    }
    const session = this.#sessions.get(id);
    // Another principal learns nothing, not even that the session exists; nor does it serve another address.
    if (!session || !sameViewer(session.viewer, viewer)) return unknownSession();
    const ended = this.#began(session);
    try {
      session.calls.hear(body);
      const response = await session.transport.handleRequest(request, body === undefined ? {} : { parsedBody: body });
      // A stream of notifications, and a call that is answered as a stream, keep their session alive until they end.
      return bounded(response, ended);
    } catch (error) {
      ended();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#unsubscribe();
    await Promise.allSettled([...this.#sessions.keys()].map((id) => this.#end(id)));
  }

  /** A session is not idle while one of its requests is answered. @returns to be called when it has been */
  #began(session: LegacySession): () => void {
    const { clock } = this.#deps;
    session.used_at = clock.monotonic();
    session.open_streams += 1;
    let open = true;
    return () => {
      if (open) session.open_streams -= 1;
      open = false;
      session.used_at = clock.monotonic();
    };
  }

  async #open(request: Request, body: unknown, viewer: Viewer): Promise<Response> {
    const { settings, clock, maxBodyBytes } = this.#deps;
    const { actor } = viewer.principal;
    const own = [...this.#sessions.values()].filter((session) => session.viewer.principal.actor === actor).length;
    if (own >= settings.most_per_principal && !(await this.#makeRoom(actor))) return tooManySessions();
    if (this.#sessions.size >= settings.most && !(await this.#makeRoom())) return tooManySessions();
    const { server, conversation, end: endConversation } = createLegacyServer(this.#deps.server, viewer);
    const calls = new LegacyCalls(this.#deps.server, this.#deps.open, server, conversation);
    const end = () => {
      endConversation();
      calls.end();
    };
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => this.#deps.server.random.uuid(),
      maxRequestBodySize: maxBodyBytes,
      onsessioninitialized: (id) => {
        const used_at = clock.monotonic();
        this.#sessions.set(id, { server, transport, viewer, calls, end, used_at, open_streams: 0 });
      },
      onsessionclosed: (id) => {
        this.#sessions.delete(id);
        end();
      },
    });
    await server.connect(transport);
    const response = await transport.handleRequest(request, { parsedBody: body });
    // An initialize that was refused leaves no session behind.
    if (transport.sessionId === undefined) await server.close().finally(end);
    return response;
  }

  /** Ends the longest idle session: of one actor, or of anybody. */
  async #makeRoom(actor?: string): Promise<boolean> {
    let oldest: [string, LegacySession] | undefined;
    for (const entry of this.#sessions) {
      if (actor !== undefined && entry[1].viewer.principal.actor !== actor) continue;
      if (entry[1].open_streams === 0 && (!oldest || entry[1].used_at < oldest[1].used_at)) oldest = entry;
    }
    if (!oldest) return false;
    await this.#end(oldest[0]);
    return true;
  }

  async #end(id: string): Promise<void> {
    const session = this.#sessions.get(id);
    this.#sessions.delete(id);
    session?.end();
    await session?.server
      .close()
      .catch((error: unknown) => this.#deps.server.log.debug('closing a session', { error }));
  }

  async #sweep(): Promise<void> {
    const { clock, settings } = this.#deps;
    while (!this.#closed.signal.aborted) {
      await clock.sleep(settings.idle / 10, this.#closed.signal);
      const before = clock.monotonic() - settings.idle;
      for (const [id, session] of [...this.#sessions]) {
        if (session.open_streams === 0 && session.used_at < before) await this.#end(id);
      }
    }
  }
}
