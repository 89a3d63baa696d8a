import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { ResultSchema } from '@modelcontextprotocol/core';
import type { ServerContext } from '@modelcontextprotocol/server';
import {
  createMcpHandler,
  createRequestStateCodec,
  isInitializeRequest,
  ProtocolError,
  Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { listen, stop } from './gateway.ts';

type Params = Record<string, unknown>;

export type EraUpstream = {
  url: string;
  /** Adds a tool and says so. */
  grow(name: string): void;
  /** Says that a resource was updated. */
  touch(uri: string): void;
  /** URIs that somebody follows now. */
  followed(): string[];
  calls: Array<{ method: string; params: Params }>;
  /** Methods that it declares and refuses. */
  refused: Set<string>;
  /** Roots that it asked for because a client said that they changed. */
  roots: unknown[];
  /** Says what the tool log_later promised, when its call is over. */
  logLater(): Promise<void>;
  /** How many sessions were opened so far, and how many are open. */
  sessions(): { opened: number; open: number };
  close(): Promise<void>;
};

const OBJECT = { type: 'object' };
const FORM = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const ASK = { message: 'Who?', requestedSchema: FORM };
const SAMPLE = { messages: [{ role: 'user', content: { type: 'text', text: 'Hi' } }], maxTokens: 5 };
const URL_ASK = { mode: 'url', message: 'Sign in', url: 'https://upstream.example/sign-in' };
const TOOLS = [
  'ask',
  'ask_twice',
  'ask_and_tell',
  'sample',
  'roots',
  'open_url',
  'open_url_first',
  'log',
  'log_later',
  'link',
  'unknown_block',
  'hang',
];
const INFO = { name: 'era-upstream', version: '9.9.9', title: 'Of one era' };

const text = (value: unknown) => ({ content: [{ type: 'text', text: JSON.stringify(value) }] });

type Parts = {
  tools: string[];
  calls: EraUpstream['calls'];
  followed: Set<string>;
  refused: Set<string>;
  roots: unknown[];
  later?: () => Promise<void>;
};

/** What both eras answer alike. */
function plain(parts: Parts, method: string, params: Params): Params | undefined {
  parts.calls.push({ method, params });
  if (parts.refused.has(method)) throw ProtocolError.fromError(-32601, 'Method not found', {});
  if (method === 'tools/list') {
    return {
      tools: parts.tools.map((name) => ({
        name,
        inputSchema: OBJECT,
        _meta: { ui: { resourceUri: 'ui://app/page' } },
      })),
    };
  }
  if (method === 'prompts/list') return { prompts: [{ name: 'greet', arguments: [{ name: 'who' }], 'x-own': 1 }] };
  if (method === 'prompts/get') {
    const resource = { uri: 'file:///note', text: 'n' };
    const content = { type: 'resource', resource };
    return { messages: [{ role: 'user', content }], description: String((params.arguments as Params)?.who) };
  }
  if (method === 'resources/list')
    return {
      resources: [
        { uri: 'file:///note', name: 'note' },
        { uri: 'ui://app/page', name: 'page' },
      ],
    };
  if (method === 'resources/templates/list')
    return { resourceTemplates: [{ uriTemplate: 'file:///{path}', name: 'any' }] };
  if (method === 'resources/read') {
    if (params.uri === 'file:///none') throw ProtocolError.fromError(-32602, 'Resource not found', { uri: params.uri });
    return { contents: [{ uri: params.uri, text: `read ${String(params.uri)}` }] };
  }
  if (method === 'completion/complete') return { completion: { values: [JSON.stringify(params.ref)] } };
  if (method === 'tools/call' && params.name === 'link') {
    return {
      content: [
        { type: 'resource_link', uri: 'file:///note', name: 'note' },
        { type: 'text', text: 'file:///note' },
      ],
    };
  }
  return undefined;
}

async function legacyCall(
  parts: Parts,
  method: string,
  params: Params,
  ctx: ServerContext,
  server: Server,
): Promise<Params> {
  const known = plain(parts, method, params);
  if (known) return known;
  if (method === 'resources/subscribe') parts.followed.add(String(params.uri));
  if (method === 'resources/unsubscribe') parts.followed.delete(String(params.uri));
  const ask = (asked: string, of: Params) => ctx.mcpReq.send({ method: asked, params: of }, ResultSchema);
  switch (params.name) {
    case 'ask':
      return text(await ask('elicitation/create', ASK));
    case 'ask_and_tell':
      return text(
        await ask('elicitation/create', ASK).catch(({ code, message }: ProtocolError) => ({ code, message })),
      );
    case 'ask_twice':
      return text([await ask('elicitation/create', ASK), await ask('elicitation/create', ASK)]);
    case 'sample':
      return text(await ask('sampling/createMessage', SAMPLE));
    case 'roots':
      return text(await ask('roots/list', {}));
    case 'open_url':
      return text(await ask('elicitation/create', { ...URL_ASK, elicitationId: 'e1' }));
    case 'open_url_first': {
      const seen = parts.calls.filter(({ params: { name } }) => name === 'open_url_first').length;
      if (seen > 1) return text('opened');
      throw ProtocolError.fromError(-32042, 'Open it first', { elicitations: [{ ...URL_ASK, elicitationId: 'e2' }] });
    }
    case 'log':
      await ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'warning', data: 'careful' } });
      return text('logged');
    case 'log_later':
      parts.later = () => server.sendLoggingMessage({ level: 'warning', data: 'later' });
      return text('wait');
    case 'unknown_block':
      return { content: [{ type: 'hologram', beam: 1 }] };
    case 'hang':
      return new Promise((_, reject) => ctx.mcpReq.signal.addEventListener('abort', () => reject(new Error('gone'))));
  }
  return {};
}

const states = createRequestStateCodec<{ round: number }>({ key: randomBytes(32) });

async function modernCall(parts: Parts, method: string, params: Params, ctx: ServerContext): Promise<Params> {
  const known = plain(parts, method, params);
  if (known) return known;
  const given = (ctx.mcpReq.inputResponses ?? {}) as Params;
  const wanted = (inputRequests: Params, requestState?: string) => ({
    resultType: 'input_required',
    inputRequests,
    ...(requestState === undefined ? {} : { requestState }),
  });
  const once = (asked: string, of: Params) => (given.q ? text(given.q) : wanted({ q: { method: asked, params: of } }));
  switch (params.name) {
    case 'ask':
      return once('elicitation/create', ASK);
    case 'ask_twice': {
      const state = ctx.mcpReq.requestState();
      const { round } = typeof state === 'string' ? await states.verify(state, ctx) : { round: 0 };
      if (round === 2) return text([given.second]);
      const key = round === 0 ? 'first' : 'second';
      return wanted(
        { [key]: { method: 'elicitation/create', params: ASK } },
        await states.mint({ round: round + 1 }, ctx),
      );
    }
    case 'sample':
      return once('sampling/createMessage', SAMPLE);
    case 'roots':
      return given.q ? text(given.q) : wanted({ q: { method: 'roots/list' } });
    case 'open_url':
    case 'open_url_first':
      return once('elicitation/create', URL_ASK);
    case 'log':
      await ctx.mcpReq.log('warning', 'careful');
      return text('logged');
    case 'unknown_block':
      return { content: [{ type: 'hologram', beam: 1 }] };
    case 'hang':
      return new Promise((_, reject) => ctx.mcpReq.signal.addEventListener('abort', () => reject(new Error('gone'))));
  }
  return {};
}

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
};

function serverOf(parts: Parts, handle: typeof legacyCall): Server {
  const server = new Server(INFO, { capabilities: CAPABILITIES, instructions: 'As upstream says.' });
  server.removeRequestHandler('logging/setLevel');
  // As servers of that era do: asks for the roots again, in no request of the client's.
  server.setNotificationHandler('notifications/roots/list_changed', async () => {
    parts.roots.push((await server.request({ method: 'roots/list' }, ResultSchema)).roots);
  });
  server.fallbackRequestHandler = (request, ctx) =>
    handle(parts, request.method, (request.params ?? {}) as Params, ctx as ServerContext, server);
  return server;
}

/** A real server of one era alone, on the low-level SDK: what the era can do, and nothing of the other. */
export async function startEraUpstream(era: 'legacy' | 'modern'): Promise<EraUpstream> {
  const parts: Parts = { tools: [...TOOLS], calls: [], followed: new Set(), refused: new Set(), roots: [] };
  let opened = 0;
  const sessions = new Map<string, { server: Server; transport: WebStandardStreamableHTTPServerTransport }>();
  const modern = createMcpHandler(() => serverOf(parts, modernCall), { legacy: 'reject' });

  async function legacy(request: Request): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    if (id !== null) return sessions.get(id)?.transport.handleRequest(request) ?? new Response(null, { status: 404 });
    const parsedBody: unknown = request.method === 'POST' ? await request.json() : undefined;
    if (!isInitializeRequest(parsedBody)) return new Response(null, { status: 400 });
    const server = serverOf(parts, legacyCall);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        opened += 1;
        sessions.set(id, { server, transport });
      },
      onsessionclosed: (ended) => void sessions.delete(ended),
    });
    await server.connect(transport);
    return transport.handleRequest(request, { parsedBody });
  }

  const http = createServer(
    getRequestListener((request) => (era === 'modern' ? modern.fetch(request) : legacy(request))),
  );
  const port = await listen(http);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    calls: parts.calls,
    refused: parts.refused,
    roots: parts.roots,
    logLater: async () => parts.later?.(),
    sessions: () => ({ opened, open: sessions.size }),
    followed: () => [...parts.followed],
    grow(name) {
      parts.tools.push(name);
      modern.notify.toolsChanged();
      for (const { server } of sessions.values()) server.sendToolListChanged().catch(() => undefined);
    },
    touch(uri) {
      modern.notify.resourceUpdated(uri);
      for (const { server } of sessions.values()) server.sendResourceUpdated({ uri }).catch(() => undefined);
    },
    async close() {
      await modern.close();
      await Promise.allSettled([...sessions.values()].map(({ server }) => server.close()));
      await stop(http);
    },
  };
}
