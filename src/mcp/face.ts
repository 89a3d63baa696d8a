import {
  createMcpHandler,
  isJsonContentType,
  isLegacyRequest,
  PROTOCOL_VERSION_META_KEY,
  readRequestBody,
} from '@modelcontextprotocol/server';
import { AppError } from '../core/errors.ts';
import type { PlainAnswer, PlainPost } from '../core/plain-post.ts';
import type { Clock, Log, Random, Sign } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import { WholeResponse } from '../core/responses.ts';
import type { Catalog, Viewer } from '../flows/catalog-api.ts';
import type { ToolCall } from '../flows/tool-call.ts';
import { OpenAnswers } from './answer.ts';
import { type Asking, DirectCalls } from './direct-call.ts';
import { stopping, tooLarge, wrongMediaType } from './http-replies.ts';
import type { LegacySessionSettings } from './legacy-sessions.ts';
import { DEFAULT_LEGACY_SESSIONS, LegacySessions } from './legacy-sessions.ts';
import { DEFAULT_LISTEN, ListenStreams } from './listen-streams.ts';
import { readMessage } from './message.ts';
import { refusedParamHeader } from './param-headers.ts';
import { isLegacyCall, MODERN, mayBePlainCall } from './plain-call.ts';
import { createModernServer, type ServerDeps } from './protocol-server.ts';
import { createRequestStates } from './request-state.ts';
import { bounded } from './sdk-stream.ts';
import { DEFAULT_SUSPENSION, SuspendedCalls, type SuspensionSettings } from './suspended-calls.ts';

export type McpFaceDeps = {
  catalog: Pick<Catalog, 'view' | 'connectionAt' | 'concerns' | 'onChange'>;
  toolCall: ToolCall;
  /** Signs what clients carry between two requests; the same on every replica. */
  signState: Sign;
  version: string;
  log: Log;
  clock: Clock;
  random: Random;
  maxBodyBytes?: number;
  sessions?: Partial<LegacySessionSettings>;
  suspension?: Partial<SuspensionSettings>;
};

export interface McpFace {
  readonly path: '/mcp';
  /**
   * One request of a principal that http/ has let in. Looks at no token, Host or Origin: that is done in front.
   * @param connection what follows `/mcp/`; undefined: the merged list
   * @throws AppError not_found where this principal may use no connection of that name
   */
  handle(request: Request, principal: Principal, connection?: string): Promise<Response>;
  /** A plain call of a tool, the same way but for the standard objects. undefined: `handle` is to answer the request. */
  post(post: PlainPost, principal: Principal, connection?: string): Promise<PlainAnswer | Response | undefined>;
  close(): Promise<void>;
}

/** Arguments may carry files; the answer to a larger one is 413 before anything is parsed (lesson 38). */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

type Routed = { viewer: Viewer; method: string };

function methodOf(body: unknown): string {
  const method = typeof body === 'object' && body !== null ? (body as { method?: unknown }).method : undefined;
  return typeof method === 'string' ? method : '';
}

/** A request that names this revision is of the modern era, whatever else is wrong with it; anything else is looked at. */
function claimsModern(body: unknown): boolean {
  const { params } = (body ?? {}) as { params?: { _meta?: Record<string, unknown> | null } | null };
  return params?._meta?.[PROTOCOL_VERSION_META_KEY] === MODERN;
}

/**
 * undefined: larger than allowed. A body of declared length is read at once: asking for it as a stream costs a request
 * object more than all else that is done here.
 */
async function textOf(request: Request, most: number): Promise<string | undefined> {
  const declared = request.headers.get('content-length');
  if (declared !== null && Number(declared) <= most) return request.text();
  const read = await readRequestBody(request, most);
  return read.tooLarge ? undefined : read.text;
}

function noConnection(name: string): AppError {
  return new AppError(
    'not_found',
    `There is no connection ${name.slice(0, 100)} here that you may use, or its configuration is not valid. The address is /mcp/<name>, or /mcp/<name>-<kind> where two kinds share a name; /mcp serves all connections.`,
  );
}

function asking(request: Request): Asking {
  const onGone = (left: () => void) => {
    if (request.signal.aborted) left();
    request.signal.addEventListener('abort', left, { once: true });
  };
  return { headers: request.headers, onGone };
}

function responseOf(answer: PlainAnswer | Response): Response {
  if (answer instanceof Response) return answer;
  const { status, headers, body } = answer;
  return new WholeResponse(Buffer.from(body), { status, headers: new Headers(headers) });
}

class Face implements McpFace {
  readonly path = '/mcp';
  readonly #deps: McpFaceDeps;
  readonly #maxBodyBytes: number;
  readonly #routed = new WeakMap<Request, Routed>();
  readonly #suspended: SuspendedCalls;
  readonly #legacy: LegacySessions;
  readonly #streams: ListenStreams;
  readonly #modern: ReturnType<typeof createMcpHandler>;
  readonly #open: OpenAnswers;
  readonly #direct: DirectCalls;
  #closed = false;

  constructor(deps: McpFaceDeps) {
    this.#deps = deps;
    this.#maxBodyBytes = deps.maxBodyBytes ?? MAX_BODY_BYTES;
    const { clock, random } = deps;
    this.#suspended = new SuspendedCalls({ clock, random, settings: { ...DEFAULT_SUSPENSION, ...deps.suspension } });
    const states = createRequestStates({ sign: deps.signState, clock });
    const server: ServerDeps = { ...deps, states, suspended: this.#suspended };
    this.#streams = new ListenStreams(server, DEFAULT_LISTEN);
    this.#open = new OpenAnswers(clock);
    this.#direct = new DirectCalls(server, this.#open);
    this.#legacy = new LegacySessions({
      server,
      open: this.#open,
      clock,
      maxBodyBytes: this.#maxBodyBytes,
      settings: { ...DEFAULT_LEGACY_SESSIONS, ...deps.sessions },
    });
    this.#modern = createMcpHandler(
      ({ requestInfo }) => {
        const routed = requestInfo && this.#routed.get(requestInfo);
        if (!routed) throw new Error('a request without its viewer');
        return createModernServer(server, routed.viewer, routed);
      },
      {
        legacy: 'reject',
        maxRequestBodySize: this.#maxBodyBytes,
        onerror: (error) => deps.log.debug('mcp', { error }),
      },
    );
  }

  async handle(request: Request, principal: Principal, connection?: string): Promise<Response> {
    if (this.#closed) return stopping();
    const viewer = this.#viewer(principal, connection);
    if (!viewer) throw noConnection(connection ?? '');
    let body: unknown;
    if (request.method === 'POST') {
      if (!isJsonContentType(request.headers.get('content-type'))) return wrongMediaType();
      const text = await textOf(request, this.#maxBodyBytes);
      if (text === undefined) return tooLarge(this.#maxBodyBytes);
      const read = readMessage(text);
      if (read.refusal) return read.refusal;
      body = read.message;
    }
    const direct = this.#call(asking(request), body, viewer);
    if (direct) return responseOf(await direct);
    if (isLegacyCall(request.headers, body)) return this.#legacy.handle(request, body, viewer);
    if (!claimsModern(body) && (await isLegacyRequest(request, body))) {
      return this.#legacy.handle(request, body, viewer);
    }
    // A pipe has no headers; what another process relays from one carries only those that HTTP itself wants.
    const compared = claimsModern(body) && principal.via !== 'stdio';
    const refused = compared && refusedParamHeader(this.#deps.catalog.view(viewer), body, request.headers);
    if (refused) return refused;
    const method = methodOf(body);
    if (method === 'subscriptions/listen') return this.#streams.open(request, body as Record<string, unknown>, viewer);
    this.#routed.set(request, { viewer, method });
    return bounded(await this.#modern.fetch(request, body === undefined ? {} : { parsedBody: body }));
  }

  async post(post: PlainPost, principal: Principal, connection?: string): Promise<PlainAnswer | Response | undefined> {
    const { headers } = post;
    if (this.#closed || !mayBePlainCall(headers) || !isJsonContentType(headers.get('content-type'))) return undefined;
    if (Number(headers.get('content-length')) > this.#maxBodyBytes) return undefined;
    const viewer = this.#viewer(principal, connection);
    if (!viewer) return undefined;
    const text = await post.text();
    if (text === undefined) return undefined;
    const { message, refusal } = readMessage(text);
    return refusal ? undefined : this.#call(post, message, viewer);
  }

  /** undefined: no plain call. */
  #call(asking: Asking, body: unknown, viewer: Viewer): Promise<PlainAnswer | Response> | undefined {
    return this.#direct.answer(asking, body, viewer) ?? this.#legacy.call(asking.headers, body, viewer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#suspended.close();
    this.#open.close();
    await Promise.allSettled([this.#streams.close(), this.#modern.close(), this.#legacy.close()]);
  }

  /** undefined: this principal may use no connection of that name. */
  #viewer(principal: Principal, name: string | undefined): Viewer | undefined {
    if (name === undefined) return { principal, connection: undefined };
    const connection = this.#deps.catalog.connectionAt(name, principal);
    return connection && { principal, connection };
  }
}

/** One URL for both protocol eras: stateless requests of the modern one, sessions of the legacy one. */
export function createMcpFace(deps: McpFaceDeps): McpFace {
  return new Face(deps);
}
