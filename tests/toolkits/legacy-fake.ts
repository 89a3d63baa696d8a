import { createServer, type ServerResponse } from 'node:http';
import { listen, stop } from '../mcp/gateway.ts';

export type Received = {
  method?: string;
  id?: unknown;
  /** The session that it belongs to, as its header says. */
  session: string;
  params: Record<string, unknown>;
  message: Record<string, unknown>;
};

/** The stream that answers one request: anything may be sent on it before it ends. */
export type AnswerStream = {
  send(message: Record<string, unknown>): void;
  /** Bytes as they are, for what no server should send. */
  raw(text: string): void;
  end(): void;
  response: ServerResponse;
};

export type LegacyFake = {
  url: string;
  received: Received[];
  /** Sessions that were ended by their client. */
  ended: Set<string>;
  methods(): string[];
  close(): Promise<void>;
};

/**
 * A hand-written upstream of the legacy era, for what no well-behaved server does: each request is answered by a stream.
 * @param refusal the error of a request that is answered with HTTP 400 in place of a stream
 */
export async function startLegacyFake(
  answer: (request: Received, stream: AnswerStream) => void | Promise<void>,
  capabilities: Record<string, unknown> = { tools: {}, logging: {} },
  refusal: (request: Received) => Record<string, unknown> | undefined = () => undefined,
): Promise<LegacyFake> {
  const received: Received[] = [];
  const ended = new Set<string>();
  let sessions = 0;
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const session = String(req.headers['mcp-session-id'] ?? '');
      if (req.method === 'DELETE') ended.add(session);
      if (req.method === 'DELETE') return void res.writeHead(200).end();
      if (req.method !== 'POST') return void res.writeHead(405).end();
      const message = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
      const request: Received = {
        ...(typeof message.method === 'string' ? { method: message.method } : {}),
        id: message.id,
        session,
        params: (message.params ?? {}) as Record<string, unknown>,
        message,
      };
      received.push(request);
      if (request.method === 'server/discover') return void res.writeHead(400).end('{}');
      if (request.method === undefined || message.id === undefined) return void res.writeHead(202).end();
      if (request.method === 'initialize') {
        sessions += 1;
        const result = {
          protocolVersion: '2025-11-25',
          capabilities,
          serverInfo: { name: 'fake', version: '1' },
        };
        res.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': `s${sessions}` });
        return void res.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
      }
      const refused = refusal(request);
      if (refused) return void res.writeHead(400).end(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...refused }));
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      const send = (one: Record<string, unknown>) =>
        void res.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...one })}\n\n`);
      void answer(request, { send, raw: (text) => void res.write(text), end: () => void res.end(), response: res });
    });
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    received,
    ended,
    methods: () => received.map(({ method }) => method ?? 'answer'),
    close: () => stop(server),
  };
}
