import { createServer, type Server, type ServerResponse } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ToolkitConnection } from '../../src/core/ports.ts';
import { listen, stop } from '../mcp/gateway.ts';
import { aCall, aClient, openUpstream, type RecordingClient } from './mcp-context.ts';

type Message = Record<string, unknown>;
type Upstream = (message: Message) => void;

/**
 * An upstream of the legacy era whose messages all arrive on one stream. Its tool asks its caller before it answers, and
 * once more afterwards, when the call is over; each question says for whom it is. It remembers in its session who
 * called: the next caller there is told. It runs as a program of its own, too, and so uses nothing from outside.
 */
function upstreamOf(send: (message: Message) => void): Upstream {
  let earlier: unknown[] = [];
  const waiting = new Map<unknown, (answer: unknown) => void>();
  return ({ id, method, params, result, error }) => {
    if (method === undefined) return void waiting.get(id)?.(result ?? error);
    if (id === undefined) return;
    if (method === 'initialize') {
      const serverInfo = { name: 'asking', version: '1' };
      return send({ id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo } });
    }
    if (method === 'tools/list')
      return send({ id, result: { tools: [{ name: 't', inputSchema: { type: 'object' } }] } });
    if (method !== 'tools/call') return send({ id, error: { code: -32601, message: 'Method not found' } });
    const { who } = (params as { arguments: { who: unknown } }).arguments;
    const ask = (question: string) => send({ id: question, method: 'elicitation/create', params: { message: who } });
    waiting.set(`ask-${String(id)}`, (answer) => {
      const text = JSON.stringify({ answer, earlier });
      earlier = [...earlier, who];
      send({ id, result: { content: [{ type: 'text', text }] } });
      ask(`late-${String(id)}`);
    });
    ask(`ask-${String(id)}`);
  };
}

const PROGRAM = `
const upstream = (${upstreamOf.toString()})((message) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n'));
let rest = '';
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\\n');
  rest = lines.pop();
  for (const line of lines) if (line !== '') upstream(JSON.parse(line));
});
process.stdin.on('end', () => process.exit(0));
`;

/** The transport of 2024-11-05. */
async function startSse(): Promise<{ url: string; server: Server }> {
  const sessions: Upstream[] = [];
  const server = createServer((req, res) => {
    if (req.method === 'GET') return open(res);
    if (req.url === '/sse') return void res.writeHead(405).end();
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      res.writeHead(202).end();
      sessions[Number(req.url?.slice(1))]?.(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Message);
    });
  });
  const open = (res: ServerResponse) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(`event: endpoint\ndata: /${sessions.length}\n\n`);
    sessions.push(
      upstreamOf(
        (message) => void res.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`),
      ),
    );
  };
  return { url: `http://127.0.0.1:${await listen(server)}/sse`, server };
}

const cleanup: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
});

async function connect(transport: 'sse' | 'stdio'): Promise<ToolkitConnection> {
  let config: Record<string, unknown> = { command: process.execPath, args: ['-e', PROGRAM] };
  if (transport === 'sse') {
    const { url, server } = await startSse();
    cleanup.push(() => stop(server));
    config = { endpoint: url, transport: 'sse' };
  }
  const opened = openUpstream(config);
  cleanup.push(() => opened.close());
  await opened.request('tools/list', {}, aCall());
  return opened;
}

type Told = { answer: { content?: { from: string } }; earlier: string[] };

/** A call in the name of a principal, whose client answers with the principal's name. */
async function call(opened: ToolkitConnection, actor: string, client: RecordingClient): Promise<Told> {
  const given = aCall({ client, principal: { actor } });
  const result = await opened.request('tools/call', { name: 't', arguments: { who: actor } }, given);
  return JSON.parse((result.content as Array<{ text: string }>)[0]?.text ?? '') as Told;
}

function clientOf(actor: string, session?: string): RecordingClient {
  const answer = { action: 'accept', content: { from: actor } };
  const more = session === undefined ? {} : { session: { id: session, ended: new AbortController().signal } };
  return aClient({ elicitation: {} }, { 'elicitation/create': answer }, more);
}

const questions = ({ asked }: RecordingClient) => asked.map(({ params }) => String(params.message));

describe.each(['sse', 'stdio'] as const)('an upstream over %s, whose questions name no call', (transport) => {
  it('asks of several principals at once each one its own questions, and learns of none through another', async () => {
    const opened = await connect(transport);
    const actors = ['apikey:a', 'apikey:b', 'apikey:c'];
    const clients: Array<[string, RecordingClient]> = [1, 2, 3].flatMap(() =>
      actors.map((actor): [string, RecordingClient] => [actor, clientOf(actor)]),
    );
    for (let round = 0; round < 2; round += 1) {
      // In another order, so that what one left free is not found by itself again.
      clients.push(...clients.splice(0, 1));
      const answers = await Promise.all(clients.map(([actor, client]) => call(opened, actor, client)));
      for (const [index, [actor]] of clients.entries()) {
        expect(answers[index]?.answer.content).toEqual({ from: actor });
        for (const who of answers[index]?.earlier ?? []) expect(who).toBe(actor);
      }
    }
    for (const [actor, client] of clients) {
      expect(questions(client).length).toBeGreaterThanOrEqual(2);
      for (const who of questions(client)) expect(who).toBe(actor);
    }
  }, 60_000);

  it('asks of two clients with sessions of their own each one its own questions, also after the call', async () => {
    const opened = await connect(transport);
    const [a, b] = [clientOf('apikey:a', 'session-a'), clientOf('apikey:b', 'session-b')];
    const answers = await Promise.all([
      call(opened, 'apikey:a', a),
      call(opened, 'apikey:b', b),
      call(opened, 'apikey:a', a),
      call(opened, 'apikey:b', b),
    ]);
    expect(answers.map(({ answer }) => answer.content?.from)).toEqual(['apikey:a', 'apikey:b', 'apikey:a', 'apikey:b']);
    await vi.waitFor(() => {
      expect(questions(a)).toEqual(Array.from({ length: 4 }, () => 'apikey:a'));
      expect(questions(b)).toEqual(Array.from({ length: 4 }, () => 'apikey:b'));
    });
  }, 60_000);

  it('gets no answer in the session that all share, so that nobody is asked for another', async () => {
    const opened = await connect(transport);
    const asked = aClient({});
    const told = await call(opened, 'apikey:a', asked);
    expect(told.answer).toMatchObject({ code: -32601 });
    expect(asked.asked).toEqual([]);
  }, 60_000);
});
