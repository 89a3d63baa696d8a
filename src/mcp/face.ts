import { createMcpHandler, isJsonContentType, isLegacyRequest, readRequestBody } from '@modelcontextprotocol/server';
import type { Clock, Log, Random } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { Catalog } from '../flows/catalog-api.ts';
import type { ToolCall } from '../flows/tool-call.ts';
import { parseError, stopping, tooLarge, wrongMediaType } from './http-replies.ts';
import type { LegacySessionSettings } from './legacy-sessions.ts';
import { DEFAULT_LEGACY_SESSIONS, LegacySessions } from './legacy-sessions.ts';
import { createProtocolServer } from './protocol-server.ts';

export type McpFaceDeps = {
  catalog: Pick<Catalog, 'tools' | 'onChange'>;
  toolCall: ToolCall;
  version: string;
  log: Log;
  clock: Clock;
  random: Random;
  maxBodyBytes?: number;
  sessions?: Partial<LegacySessionSettings>;
};

export interface McpFace {
  readonly path: '/mcp';
  /** One request of a principal that http/ has let in. Looks at no token, Host or Origin: that is done in front. */
  handle(request: Request, principal: Principal): Promise<Response>;
  /** Tells every connected client to list again; the face does so itself whenever the catalog changed. */
  notifyToolsChanged(): void;
  close(): Promise<void>;
}

/** Arguments may carry files; the answer to a larger one is 413 before anything is parsed (lesson 38). */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** One URL for both protocol eras: stateless requests of the modern one, sessions of the legacy one. */
export function createMcpFace(deps: McpFaceDeps): McpFace {
  const maxBodyBytes = deps.maxBodyBytes ?? MAX_BODY_BYTES;
  const principals = new WeakMap<Request, Principal>();
  const modern = createMcpHandler(
    ({ requestInfo }) => {
      const principal = requestInfo && principals.get(requestInfo);
      if (!principal) throw new Error('a request without its principal');
      return createProtocolServer(deps, principal, 'modern');
    },
    { legacy: 'reject', maxRequestBodySize: maxBodyBytes, onerror: (error) => deps.log.debug('mcp', { error }) },
  );
  const legacy = new LegacySessions({
    build: (principal) => createProtocolServer(deps, principal, 'legacy'),
    clock: deps.clock,
    random: deps.random,
    log: deps.log,
    maxBodyBytes,
    settings: { ...DEFAULT_LEGACY_SESSIONS, ...deps.sessions },
  });
  let closed = false;

  const notifyToolsChanged = () => {
    modern.notify.toolsChanged();
    legacy.notifyToolsChanged();
  };
  const unsubscribe = deps.catalog.onChange(notifyToolsChanged);

  return {
    path: '/mcp',
    notifyToolsChanged,
    async handle(request, principal) {
      if (closed) return stopping();
      let body: unknown;
      if (request.method === 'POST') {
        if (!isJsonContentType(request.headers.get('content-type'))) return wrongMediaType();
        const read = await readRequestBody(request, maxBodyBytes);
        if (read.tooLarge) return tooLarge(maxBodyBytes);
        try {
          body = JSON.parse(read.text);
        } catch {
          return parseError();
        }
      }
      if (await isLegacyRequest(request, body)) return legacy.handle(request, body, principal);
      principals.set(request, principal);
      return modern.fetch(request, body === undefined ? {} : { parsedBody: body });
    },
    async close() {
      closed = true;
      unsubscribe();
      await Promise.allSettled([modern.close(), legacy.close()]);
    },
  };
}
