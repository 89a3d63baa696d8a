import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';
import { listen, stop } from './gateway.ts';

const TOOLS = fileURLToPath(new URL('../tools/node_modules/', import.meta.url));
const SERVERS = join(TOOLS, '@modelcontextprotocol');

export async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

export type Process = { url: string; port: number; kill(): Promise<void> };

async function start(args: string[], env: Record<string, string>, port: number, path = '/mcp'): Promise<Process> {
  const child = spawn(process.execPath, args, { env: { PATH: process.env.PATH ?? '', ...env }, stdio: 'ignore' });
  const gone = once(child, 'exit');
  const url = `http://127.0.0.1:${port}${path}`;
  await vi.waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(`the upstream exited with ${child.exitCode}`);
      await (await fetch(url)).body?.cancel();
    },
    { timeout: 20_000, interval: 50 },
  );
  return {
    url,
    port,
    async kill() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** server-everything over Streamable HTTP: legacy era, sessions, seventeen tools for a client that declares everything. */
export async function startEverything(port?: number): Promise<Process> {
  const at = port ?? (await freePort());
  return start([join(SERVERS, 'server-everything/dist/index.js'), 'streamableHttp'], { PORT: String(at) }, at);
}

/** server-everything over the transport of 2024-11-05: a stream at `/sse`, messages to wherever that says. */
export async function startEverythingSse(): Promise<Process> {
  const port = await freePort();
  const args = [join(SERVERS, 'server-everything/dist/index.js'), 'sse'];
  return await start(args, { PORT: String(port) }, port, '/sse');
}

/** How each of these servers is started on its standard streams. */
export const programs = {
  everything: () => ({ command: process.execPath, args: [join(SERVERS, 'server-everything/dist/index.js')] }),
  filesystem: (folder: string) => ({
    command: process.execPath,
    args: [join(SERVERS, 'server-filesystem/dist/index.js'), folder],
  }),
  memory: (file: string) => ({
    command: process.execPath,
    args: [join(SERVERS, 'server-memory/dist/index.js')],
    env: { MEMORY_FILE_PATH: file },
  }),
};

/** mcp-proxy in front of server-memory: modern era. */
export async function startModernMemory(): Promise<Process> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'memory-'));
  const args = [join(TOOLS, 'mcp-proxy/dist/bin/mcp-proxy.mjs'), '--port', String(port), '--host', '127.0.0.1', '--'];
  args.push(process.execPath, join(SERVERS, 'server-memory/dist/index.js'));
  const running = await start(args, { MEMORY_FILE_PATH: join(folder, 'memory.jsonl'), HOME: folder }, port);
  return {
    ...running,
    async kill() {
      await running.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export type RawRequest = {
  method: string;
  params: Record<string, unknown>;
  id: string | number | undefined;
  headers: IncomingHttpHeaders;
  url: string;
};
export type RawReply =
  | { result: Record<string, unknown> }
  | { error: { code: number; message: string; data?: unknown }; status?: number }
  | { status: number; body?: string; headers?: Record<string, string> }
  | { hang: true }
  | { drop: true };

export type RawUpstream = {
  url: string;
  requests: RawRequest[];
  /** How many requests were given up by the other side before they were answered. */
  broken(): number;
  close(): Promise<void>;
};

/** A hand-written modern upstream, for shapes that no well-behaved server gives. */
export async function startRaw(
  answer: (request: RawRequest) => RawReply | Promise<RawReply>,
  options: { listChanged?: boolean } = {},
): Promise<RawUpstream> {
  const requests: RawRequest[] = [];
  let broken = 0;
  const server: Server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    res.on('close', () => {
      if (!res.writableEnded) broken += 1;
    });
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', async () => {
      if (req.method !== 'POST') return void res.writeHead(405).end();
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      const request: RawRequest = {
        method: body.method,
        params: body.params ?? {},
        id: body.id,
        headers: req.headers,
        url: req.url ?? '',
      };
      requests.push(request);
      const send = (status: number, value: unknown) =>
        res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
      const reply: RawReply =
        body.method === 'server/discover'
          ? {
              result: {
                supportedVersions: ['2026-07-28'],
                capabilities: { tools: options.listChanged ? { listChanged: true } : {} },
                ttlMs: 0,
                cacheScope: 'private',
              },
            }
          : await answer(request);
      if ('result' in reply) {
        send(200, { jsonrpc: '2.0', id: body.id, result: { resultType: 'complete', ...reply.result } });
      } else if ('error' in reply) send(reply.status ?? 200, { jsonrpc: '2.0', id: body.id, error: reply.error });
      else if ('drop' in reply) req.socket.destroy();
      else if ('status' in reply) res.writeHead(reply.status, reply.headers).end(reply.body ?? '');
    });
  });
  const port = await listen(server);
  return { url: `http://127.0.0.1:${port}/mcp`, requests, broken: () => broken, close: () => stop(server) };
}
