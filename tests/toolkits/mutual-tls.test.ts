import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fetchOf } from '../../src/core/tls-material.ts';
import { connection, fetchPort } from '../mcp/gateway.ts';
import { type Process, startEverything } from '../mcp/upstreams.ts';
import { createAuthority } from '../support/certificates.ts';
import { aCall, openUpstream } from './mcp-context.ts';

const authority = createAuthority('Authority', Date.now());
let upstream: Process;
let door: Server;
let endpoint: string;

beforeAll(async () => {
  upstream = await startEverything();
  const tls = { ...authority.issue('localhost'), ca: authority.cert, requestCert: true };
  door = createServer(tls, (incoming, answer) => {
    const { method, headers, url } = incoming;
    const { host: _ours, ...passed } = headers;
    const onward = request(new URL(url ?? '/', upstream.url), { method, headers: passed }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  endpoint = `https://127.0.0.1:${(door.address() as AddressInfo).port}${new URL(upstream.url).pathname}`;
});
afterAll(async () => {
  door.closeAllConnections();
  await new Promise((resolve) => door.close(resolve));
  await upstream.kill();
});

/** As the platform hands it out: the toolkit itself knows nothing of certificates. */
async function toolsOf(more: Record<string, unknown>): Promise<unknown> {
  const config = { endpoint, auth_mode: 'none', ...more };
  const fetch = fetchOf(fetchPort, connection('up', config).config);
  const opened = openUpstream(config, { fetch });
  try {
    return await opened.request('tools/list', {}, aCall());
  } finally {
    await opened.close();
  }
}

it('an MCP server that wants a client certificate of a private authority is reached with one, and only so', async () => {
  const { cert, key } = authority.issue('platform');
  const trusted = { tls_ca_bundle_pem: authority.cert };
  const known = { ...trusted, mtls_client_cert_pem: cert, mtls_client_key_pem: key };
  expect(await toolsOf(known)).toMatchObject({
    tools: expect.arrayContaining([expect.objectContaining({ name: 'echo' })]),
  });
  await expect(toolsOf(trusted)).rejects.toMatchObject({ name: 'AppError' });
  await expect(toolsOf({})).rejects.toMatchObject({ name: 'AppError' });
});
