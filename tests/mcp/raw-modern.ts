import { ACTOR_HEADER } from './gateway.ts';

type Params = Record<string, unknown>;

export type RawAnswer = {
  status: number;
  result?: Params & { resultType?: string; requestState?: string; inputRequests?: Record<string, { method: string }> };
  error?: { code: number; message: string; data?: unknown };
};

let id = 0;

/** One request of the modern era as a client sends it, and its answer as it is on the wire. */
export async function rawModern(
  url: string,
  method: string,
  params: Params = {},
  options: { actor?: string; capabilities?: Params; headers?: Record<string, string> } = {},
): Promise<RawAnswer> {
  id += 1;
  const { actor = 'apikey:a', capabilities = {} } = options;
  const named = params.name ?? params.uri;
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(typeof named === 'string' ? { 'mcp-name': named } : {}),
      [ACTOR_HEADER]: actor,
      ...options.headers,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id,
      method,
      params: {
        ...params,
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
          'io.modelcontextprotocol/clientCapabilities': capabilities,
        },
      },
    }),
  });
  const text = await response.text();
  const last = text.includes('data: ') ? text.slice(text.lastIndexOf('data: ') + 6) : text;
  return { status: response.status, ...(JSON.parse(last) as Omit<RawAnswer, 'status'>) };
}
