import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { apiConfigSchema } from '../../src/core/api-config.ts';
import type { ConnectionConfig } from '../../src/core/connection.ts';
import type { ToolkitConnection, ToolkitContext } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { createApiToolkit } from '../../src/toolkits/api/index.ts';
import { fetchPort, listen, silentLog, stop } from '../mcp/gateway.ts';
import { aCall } from './mcp-context.ts';

export type SeenRequest = { method: string; url: string; headers: IncomingHttpHeaders; body: string };

export type TestApi = {
  origin: string;
  requests: SeenRequest[];
  /** Answers that were given up by the other side before they ended. */
  broken(): number;
  close(): Promise<void>;
};

/** A real server; `answer` gets each request when its body is read. */
export async function startApi(
  answer: (request: SeenRequest, response: ServerResponse, incoming: IncomingMessage) => void,
): Promise<TestApi> {
  const requests: SeenRequest[] = [];
  let broken = 0;
  const server = createServer(async (incoming, response) => {
    response.on('close', () => {
      if (!response.writableFinished) broken += 1;
    });
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = incoming;
    const seen = { method, url, headers, body: Buffer.concat(chunks).toString('utf8') };
    requests.push(seen);
    answer(seen, response, incoming);
  });
  const port = await listen(server);
  return { origin: `http://127.0.0.1:${port}`, requests, broken: () => broken, close: () => stop(server) };
}

export function json(response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

export function openApi(
  config: Record<string, unknown>,
  changed: Partial<ToolkitContext> = {},
  options: { memory_bytes?: number } = {},
): ToolkitConnection {
  return createApiToolkit(options).connect({
    key: { kind: 'api', name: 'shop' },
    config: apiConfigSchema.parse(config) as ConnectionConfig,
    accessToken: async () => new Secret('token-1'),
    fetch: fetchPort,
    log: silentLog,
    clock: systemClock,
    random: systemRandom,
    authEvents: { append: async () => undefined },
    ...changed,
  });
}

/** What the tool answers, as its structured content. */
export type Answer = {
  status: number | null;
  headers: Record<string, string>;
  body: unknown;
  body_truncated: boolean;
  pagination: Record<string, unknown>;
  hint: string | null;
  error: string | null;
};

export async function callTool(
  api: ToolkitConnection,
  name: string,
  args: Record<string, unknown>,
  signal = new AbortController().signal,
): Promise<{ answer: Answer; result: Record<string, unknown> }> {
  const result = await api.request(
    'tools/call',
    { name, arguments: { connection: 'shop', ...args } },
    aCall({ signal }),
  );
  return { answer: result.structuredContent as Answer, result };
}

export const invoke = async (api: ToolkitConnection, args: Record<string, unknown>) =>
  (await callTool(api, 'api_invoke_endpoint', args)).answer;
