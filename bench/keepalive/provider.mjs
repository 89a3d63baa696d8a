// Authorization servers for bench:keepalive, in a process of their own: each issuer is a host (127.0.0.N), answers after
// a while, and takes each refresh token once. They do not forgive: a token that comes twice is counted.
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [issuers = 50, latencyMs = 100] = process.argv.slice(2).map(Number);

let first = 0;
let last = 0;
let refreshed = 0;
let unexpected = 0;
/** @type {Map<string, number>} how often each token was presented */
const presented = new Map();
const hosts = Array.from({ length: issuers }, () => ({ inFlight: 0, most: 0 }));

/** `c12.3` is the fourth token of connection 12. @param {string | null} token */
function successor(token) {
  const [, family, index] = /^(c\d+)\.(\d+)$/.exec(token ?? '') ?? [];
  return family === undefined ? undefined : `${family}.${Number(index) + 1}`;
}

/**
 * @param {{ inFlight: number, most: number }} host
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 */
async function answer(host, request, response) {
  first ||= Date.now();
  host.inFlight += 1;
  host.most = Math.max(host.most, host.inFlight);
  const waited = sleep(latencyMs);
  let text = '';
  for await (const chunk of request) text += chunk;
  const token = new URLSearchParams(text).get('refresh_token');
  const next = successor(token);
  const times = (presented.get(token ?? '') ?? 0) + 1;
  presented.set(token ?? '', times);
  await waited;
  // What is counted as in flight ends with the answer, or the next request could overtake the count.
  host.inFlight -= 1;
  last = Date.now();
  if (next === undefined || times > 1) {
    unexpected += 1;
    response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    return;
  }
  refreshed += 1;
  const body = { access_token: `access-${next}`, refresh_token: next, token_type: 'Bearer', expires_in: 3600 };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function report() {
  const twice = [...presented.values()].filter((times) => times > 1).length;
  const mostAtOnce = Math.max(0, ...hosts.map(({ most }) => most));
  const { user, system } = process.cpuUsage();
  return {
    cpu_ms: (user + system) / 1_000,
    first,
    last,
    refreshed,
    unexpected,
    presented: presented.size,
    twice,
    mostAtOnce,
  };
}

/** @type {string[]} */
const origins = [];
for (const [index, host] of hosts.entries()) {
  const server = createServer((request, response) => void answer(host, request, response));
  const address = `127.0.0.${index + 1}`;
  await new Promise((resolve) => server.listen({ host: address, port: 0, backlog: 512 }, () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  origins.push(`http://${address}:${port}`);
}
process.on('message', () => process.send?.(report()));
process.on('disconnect', () => process.exit(0));
process.send?.(origins);
