import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import type { EventStore, RequestStateCodec, ServerContext } from '@modelcontextprotocol/server';
import {
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  isInitializeRequest,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
  ProtocolError,
  Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { listen, stop } from '../mcp/gateway.ts';
import type { Era } from './fixture-call.ts';
import { accepted, form, inputRequired } from './fixture-questions.ts';
import { FIXTURE_TOOLS, PNG } from './fixture-tools.ts';

const INVALID_PARAMS = -32602;
const RESOURCE_NOT_FOUND_LEGACY = -32002;
const HEADER_MISMATCH = -32020;
const OBJECT = { type: 'object' };

type Sources = {
  state: RequestStateCodec<{ round: number }>;
  changed(list: 'tools' | 'prompts'): void;
};

const RESOURCES = [
  { uri: 'test://static-text', name: 'static-text', description: 'A text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'static-binary', description: 'An image', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'watched-resource', description: 'May be followed', mimeType: 'text/plain' },
];
const TEMPLATE = {
  uriTemplate: 'test://template/{id}/data',
  name: 'template',
  description: 'Data of one id',
  mimeType: 'application/json',
};
const argument = (name: string) => ({ name, description: `The argument ${name}`, required: true });
const PROMPTS = [
  { name: 'test_simple_prompt', description: 'Without arguments' },
  { name: 'test_prompt_with_arguments', description: 'With two', arguments: [argument('arg1'), argument('arg2')] },
  {
    name: 'test_prompt_with_embedded_resource',
    description: 'With a resource in it',
    arguments: [argument('resourceUri')],
  },
  { name: 'test_prompt_with_image', description: 'With an image in it' },
  { name: 'test_input_required_result_prompt', description: 'Wants a context first' },
];

function read(uri: string, era: Era) {
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (id !== undefined) {
    const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
    return { contents: [{ uri, mimeType: 'application/json', text }] };
  }
  const resource = RESOURCES.find((one) => one.uri === uri);
  if (!resource) {
    const code = era === 'modern' ? INVALID_PARAMS : RESOURCE_NOT_FOUND_LEGACY;
    throw ProtocolError.fromError(code, 'Resource not found', { uri });
  }
  const { mimeType } = resource;
  if (mimeType === 'image/png') return { contents: [{ uri, mimeType, blob: PNG }] };
  return { contents: [{ uri, mimeType, text: 'This is the content of the static text resource.' }] };
}

type Part = Record<string, unknown>;
const says = (...parts: Part[]) => ({ messages: parts.map((content) => ({ role: 'user', content })) });
const sentence = (text: string): Part => ({ type: 'text', text });

function prompt(name: string, args: Record<string, string>, ctx: ServerContext) {
  switch (name) {
    case 'test_simple_prompt':
      return says(sentence('This is a simple prompt for testing.'));
    case 'test_prompt_with_arguments':
      return says(sentence(`Prompt with arguments: arg1='${args.arg1}', arg2='${args.arg2}'`));
    case 'test_prompt_with_embedded_resource': {
      const text = 'Embedded resource content for testing.';
      const resource = { uri: args.resourceUri, mimeType: 'text/plain', text };
      return says({ type: 'resource', resource }, sentence('Please process the embedded resource above.'));
    }
    case 'test_prompt_with_image':
      return says({ type: 'image', data: PNG, mimeType: 'image/png' }, sentence('Please analyze the image above.'));
    case 'test_input_required_result_prompt': {
      const given = accepted(ctx, 'user_context');
      if (given) return says(sentence(`In the context of ${JSON.stringify(given.content)}`));
      const question = form('What context should the prompt use?', { context: { type: 'string' } });
      return inputRequired({ user_context: question });
    }
    default:
      throw ProtocolError.fromError(INVALID_PARAMS, `Unknown prompt: ${name}`, {});
  }
}

/** What a header says: plain, or `=?base64?…?=`; undefined where that is not well-formed. */
function headerValue(raw: string): string | undefined {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(raw)?.[1];
  if (encoded === undefined) return raw;
  const bytes = Buffer.from(encoded, 'base64');
  return bytes.toString('base64') === encoded ? bytes.toString('utf8') : undefined;
}

type Call = { id?: unknown; method?: unknown; params?: { name?: unknown; arguments?: Record<string, unknown> } };

/**
 * The answer to a call whose `Mcp-Param-*` headers and arguments differ.
 * @see https://modelcontextprotocol.io/specification/2026-07-28/basic/transports : `x-mcp-header`
 */
function mismatchedHeader(request: Request, body: unknown): Response | undefined {
  const { id, method, params } = (body ?? {}) as Call;
  const tool = method === 'tools/call' ? FIXTURE_TOOLS[String(params?.name)] : undefined;
  const properties = (tool?.inputSchema?.properties ?? {}) as Record<string, Record<string, unknown>>;
  for (const [key, { 'x-mcp-header': header }] of Object.entries(properties)) {
    if (typeof header !== 'string') continue;
    const raw = request.headers.get(`mcp-param-${header}`);
    const given = params?.arguments?.[key];
    const wanted = given === undefined ? undefined : String(given);
    if ((raw === null ? undefined : headerValue(raw)) === wanted) continue;
    const message = `Mcp-Param-${header} does not match the argument ${key}`;
    return Response.json({ jsonrpc: '2.0', id, error: { code: HEADER_MISMATCH, message } }, { status: 400 });
  }
  return undefined;
}

function build(era: Era, { state, changed }: Sources): Server {
  const server = new Server(
    { name: 'conformance-fixture', version: '1' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        completions: {},
        logging: {},
      },
      requestState: { verify: (value, ctx) => state.verify(value, ctx) },
    },
  );
  server.setRequestHandler('tools/list', () => ({
    tools: Object.entries(FIXTURE_TOOLS).map(([name, { description, inputSchema = OBJECT }]) => ({
      name,
      description,
      inputSchema: inputSchema as { type: 'object' },
    })),
  }));
  server.setRequestHandler('tools/call', async ({ params }, ctx) => {
    const tool = FIXTURE_TOOLS[params.name];
    if (!tool) throw ProtocolError.fromError(INVALID_PARAMS, `Unknown tool: ${params.name}`, {});
    return tool.call({ era, args: params.arguments ?? {}, ctx, state, changed });
  });
  server.setRequestHandler('resources/list', () => ({ resources: RESOURCES }));
  server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [TEMPLATE] }));
  server.setRequestHandler('resources/read', ({ params }) => read(params.uri, era));
  server.setRequestHandler('prompts/list', () => ({ prompts: PROMPTS }));
  server.setRequestHandler(
    'prompts/get',
    ({ params }, ctx) => prompt(params.name, params.arguments ?? {}, ctx) as ReturnType<typeof says> as never,
  );
  server.setRequestHandler('completion/complete', ({ params }) => {
    const values = ['paris', 'park', 'party'].filter((value) => value.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  if (era === 'legacy') {
    server.setRequestHandler('resources/subscribe', () => ({}));
    server.setRequestHandler('resources/unsubscribe', () => ({}));
  }
  return server;
}

/** Keeps every event of a session, so that a client which comes back gets what it has missed. */
function eventStore(): EventStore {
  const events: { id: string; stream: string; message: Parameters<EventStore['storeEvent']>[1] }[] = [];
  return {
    async storeEvent(stream, message) {
      const id = `${stream}_${events.length}`;
      events.push({ id, stream, message });
      return id;
    },
    async replayEventsAfter(last, { send }) {
      const at = events.findIndex(({ id }) => id === last);
      const stream = events[at]?.stream ?? '';
      for (const event of events.slice(at + 1)) {
        if (event.stream === stream) await send(event.id, event.message);
      }
      return stream;
    },
  };
}

export type Fixture = { url: string; close(): Promise<void> };

/** A server with all that the suite's server scenarios ask for by name: of both eras, or as one that is of the older. */
export async function startConformanceFixture(options: { legacyOnly?: boolean } = {}): Promise<Fixture> {
  const state = createRequestStateCodec<{ round: number }>({ key: randomBytes(32) });
  const sessions = new Map<string, { server: Server; transport: WebStandardStreamableHTTPServerTransport }>();
  const changed = (list: 'tools' | 'prompts') => {
    if (list === 'tools') modern.notify.toolsChanged();
    else modern.notify.promptsChanged();
    for (const { server } of sessions.values()) {
      const told = list === 'tools' ? server.sendToolListChanged() : server.sendPromptListChanged();
      told.catch(() => undefined);
    }
  };
  const modern = createMcpHandler(() => build('modern', { state, changed }), { legacy: 'reject' });

  async function legacy(request: Request, parsedBody: unknown): Promise<Response> {
    const id = request.headers.get('mcp-session-id');
    if (id !== null) {
      const session = sessions.get(id);
      return session ? session.transport.handleRequest(request, { parsedBody }) : new Response(null, { status: 404 });
    }
    if (!isInitializeRequest(parsedBody)) return new Response(null, { status: request.method === 'POST' ? 400 : 405 });
    const server = build('legacy', { state, changed });
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: eventStore(),
      retryInterval: 100,
      onsessioninitialized: (opened) => void sessions.set(opened, { server, transport }),
      onsessionclosed: (ended) => void sessions.delete(ended),
    });
    await server.connect(transport);
    return transport.handleRequest(request, { parsedBody });
  }

  const http = createServer(
    getRequestListener(async (request) => {
      const refused =
        hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
        originValidationResponse(request, localhostAllowedOrigins());
      if (refused) return refused;
      let body: unknown;
      if (request.method === 'POST') {
        try {
          body = JSON.parse(await request.text());
        } catch {
          return new Response(null, { status: 400 });
        }
      }
      if (options.legacyOnly || (await isLegacyRequest(request, body))) return legacy(request, body);
      return mismatchedHeader(request, body) ?? modern.fetch(request, { parsedBody: body });
    }),
  );
  const port = await listen(http);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    async close() {
      await modern.close();
      await Promise.allSettled([...sessions.values()].map(({ server }) => server.close()));
      await stop(http);
    },
  };
}
