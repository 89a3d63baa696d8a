// The bench's upstream as most are: the official SDK's server, low-level and as its documentation shows it. What a
// gateway adds is the same; what a call costs without one is not.
import { randomUUID } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import { createMcpHandler, Server, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server';

/**
 * @typedef {object} Given
 * @property {(count: string) => any[]} tools
 * @property {(params: any) => any} call
 * @param {Given} given
 */
export function createSdkServer({ tools, call }) {
  const build = (/** @type {string} */ count) => {
    const server = new Server({ name: 'bench', version: '1' }, { capabilities: { tools: {} } });
    server.setRequestHandler('tools/list', () => ({ tools: tools(count) }));
    server.setRequestHandler('tools/call', ({ params }) => call(params));
    return server;
  };
  /** @type {Map<string, (request: Request) => Promise<Response>>} */
  const modern = new Map();
  const modernOf = (/** @type {string} */ count) => {
    const handler = createMcpHandler(() => build(count), { legacy: 'reject' });
    const serve = (/** @type {Request} */ request) => handler.fetch(request);
    modern.set(count, serve);
    return serve;
  };
  /** @type {Map<string, WebStandardStreamableHTTPServerTransport>} */
  const sessions = new Map();
  /** @param {string} count @param {Request} request */
  const legacy = async (count, request) => {
    const known = sessions.get(request.headers.get('mcp-session-id') ?? '');
    if (known) return known.handleRequest(request);
    const transport = new WebStandardStreamableHTTPServerTransport({
      enableJsonResponse: true,
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await build(count).connect(transport);
    return transport.handleRequest(request);
  };
  return getRequestListener(
    async (request) => {
      const [era, count = ''] = new URL(request.url).pathname.split('/').slice(-2);
      return era === 'modern' ? (modern.get(count) ?? modernOf(count))(request) : legacy(count, request);
    },
    { overrideGlobalObjects: false },
  );
}
