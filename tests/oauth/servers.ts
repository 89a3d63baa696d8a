import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { systemClock, systemRandom } from '../../src/clock.ts';
import type { ClientBinding } from '../../src/core/credential.ts';
import type { Clock } from '../../src/core/ports.ts';
import { createEgress } from '../../src/egress.ts';
import { createAuthorizationServer } from '../../src/oauth/authorization-server.ts';

export type Received = { method: string; path: string; headers: http.IncomingHttpHeaders; body: string };
export type Answer = { status?: number; headers?: http.OutgoingHttpHeaders; json?: unknown; body?: string };

/** A server on loopback whose answers are a function of what it received. */
export async function startServer(
  answer: (request: Received, response: http.ServerResponse, origin: string) => Answer | undefined,
  tls?: https.ServerOptions,
) {
  const received: Received[] = [];
  let origin = '';
  const listener = async (request: http.IncomingMessage, response: http.ServerResponse) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const got = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body };
    received.push(got);
    const told = answer(got, response, origin);
    if (!told) return;
    const { status = 200, headers = {}, json, body: text } = told;
    response.writeHead(status, json === undefined ? headers : { 'content-type': 'application/json', ...headers });
    response.end(json === undefined ? text : JSON.stringify(json));
  };
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    origin,
    received,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function startClient(clock: Clock = systemClock) {
  const fetch = createEgress();
  const server = createAuthorizationServer({
    fetch,
    clock,
    random: systemRandom,
    clientMetadata: { client_name: 'Test platform' },
  });
  return { server, close: () => fetch.close() };
}

export function bindingTo(origin: string, fields: Partial<ClientBinding> = {}): ClientBinding {
  return {
    issuer: origin,
    authorization_endpoint: null,
    token_endpoint: `${origin}/token`,
    revocation_endpoint: `${origin}/revoke`,
    client_id: 'client',
    token_endpoint_auth_method: 'none',
    resource: null,
    scope: null,
    client_source: 'config',
    ...fields,
  };
}
