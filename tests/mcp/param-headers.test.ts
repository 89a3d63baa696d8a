import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { STDIO_PRINCIPAL } from '../../src/core/principal.ts';
import { connectV2 } from './clients.ts';
import { connection, type Gateway, openGateway } from './gateway.ts';
import { rawModern } from './raw-modern.ts';
import { type RawUpstream, startRaw } from './upstreams.ts';

type Params = Record<string, unknown>;

const mirrored = (type: string, header: string) => ({ type, 'x-mcp-header': header });
const TOOLS = [
  {
    name: 'route',
    inputSchema: {
      type: 'object',
      properties: {
        region: mirrored('string', 'Region'),
        shard: mirrored('integer', 'Shard'),
        dry: mirrored('boolean', 'Dry'),
        to: { type: 'object', properties: { tenant: mirrored('string', 'Tenant') } },
        text: { type: 'string' },
      },
    },
  },
  {
    name: 'twice',
    inputSchema: { type: 'object', properties: { a: mirrored('string', 'Same'), b: mirrored('string', 'same') } },
  },
];

let gateway: Gateway;
let upstream: RawUpstream;
let addresses: Array<{ url: string; prefix: string }>;

beforeAll(async () => {
  upstream = await startRaw(({ method }) =>
    method === 'tools/list' ? { result: { tools: TOOLS } } : { result: { content: [{ type: 'text', text: 'ran' }] } },
  );
  gateway = await openGateway({ connections: [connection('up', { endpoint: upstream.url })] });
  await vi.waitFor(() => expect(gateway.names()).toContain('up__route'), 20_000);
  addresses = [
    { url: gateway.url, prefix: 'up__' },
    { url: `${gateway.url}/up`, prefix: '' },
  ];
});
afterAll(async () => {
  await gateway.close();
  await upstream.close();
});

const base64 = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`;
const calls = () => upstream.requests.filter(({ method }) => method === 'tools/call').length;

type Case = { name?: string; args?: Params; headers?: Record<string, string> };

/** The same call at both addresses, as most clients send it and as those do that an upstream may ask something. */
async function answers({ name = 'route', args, headers = {} }: Case) {
  const all = addresses.flatMap(({ url, prefix }) =>
    [{}, { requestState: 'none' }].map((more) =>
      rawModern(url, 'tools/call', { name: `${prefix}${name}`, arguments: args, ...more }, { headers }),
    ),
  );
  return Promise.all(all);
}

describe('arguments that a client of the modern era repeats in headers (SEP-2243)', () => {
  it.each<[string, Case]>([
    ['plain', { args: { region: 'eu' }, headers: { 'mcp-param-region': 'eu' } }],
    ['encoded', { args: { region: 'zürich' }, headers: { 'mcp-param-region': base64('zürich') } }],
    [
      'what only begins like an encoding',
      { args: { region: '=?base64?ab' }, headers: { 'mcp-param-region': '=?base64?ab' } },
    ],
    ['an encoding as text', { args: { region: base64('a') }, headers: { 'mcp-param-region': base64(base64('a')) } }],
    ['a number by its value', { args: { shard: 42 }, headers: { 'mcp-param-shard': '42.0' } }],
    [
      'a number that no double holds',
      { args: { shard: 2 ** 60 }, headers: { 'mcp-param-shard': '1152921504606846976' } },
    ],
    ['such a number left out', { args: { shard: 2 ** 60 } }],
    ['a boolean', { args: { dry: false }, headers: { 'mcp-param-dry': 'false' } }],
    ['a nested one', { args: { to: { tenant: 'a' } }, headers: { 'mcp-param-tenant': 'a' } }],
    ['null without a header', { args: { region: null, text: 'x' } }],
    ['no arguments at all', {}],
    ['a header that the tool does not know', { headers: { 'mcp-param-other': 'x' } }],
    [
      'a header that two arguments claim',
      { name: 'twice', args: { a: '1', b: '2' }, headers: { 'mcp-param-same': '1' } },
    ],
  ])('are taken where they agree: %s', async (_, given) => {
    const before = calls();
    for (const { status, error, result } of await answers(given)) {
      // A state that was never given is refused later, for what it is.
      if (error) expect(error.data).toEqual({ reason: 'invalid_request_state' });
      else expect(result?.content).toEqual([{ type: 'text', text: 'ran' }]);
      expect(status).toBe(200);
    }
    expect(calls()).toBe(before + 2);
  });

  it.each<[string, Case]>([
    ['another value', { args: { region: 'eu' }, headers: { 'mcp-param-region': 'us' } }],
    ['another case', { args: { region: 'eu' }, headers: { 'mcp-param-region': 'EU' } }],
    ['no header', { args: { region: 'eu' } }],
    ['an empty one missing', { args: { region: '' } }],
    ['a header without the argument', { args: {}, headers: { 'mcp-param-region': 'eu' } }],
    ['a header for null', { args: { region: null }, headers: { 'mcp-param-region': 'null' } }],
    ['a header for what has no text', { args: { region: ['eu'] }, headers: { 'mcp-param-region': 'eu' } }],
    ['wrong padding', { args: { region: 'Hello' }, headers: { 'mcp-param-region': '=?base64?SGVsbG8?=' } }],
    [
      'characters outside of base64',
      { args: { region: 'Hello' }, headers: { 'mcp-param-region': '=?base64?SGVs!!!bG8=?=' } },
    ],
    ['base64 of no UTF-8', { args: { region: '\ufffd' }, headers: { 'mcp-param-region': '=?base64?/w==?=' } }],
    ['characters that want encoding', { args: { region: 'zürich' }, headers: { 'mcp-param-region': 'zürich' } }],
    ['another number', { args: { shard: 42 }, headers: { 'mcp-param-shard': '43' } }],
    ['a number in words', { args: { shard: 42 }, headers: { 'mcp-param-shard': '0x2a' } }],
    ['a nested one', { args: { to: { tenant: 'a' } }, headers: { 'mcp-param-tenant': 'b' } }],
  ])('are refused where they differ, and nothing runs: %s', async (_, given) => {
    const before = calls();
    for (const { status, error } of await answers(given)) {
      expect({ status, code: error?.code }).toEqual({ status: 400, code: -32020 });
      expect(error?.message).toMatch(/Mcp-Param-(Region|Shard|Tenant)/);
    }
    expect(calls()).toBe(before);
  });

  it('names the id of the request that it refuses', async () => {
    const body = await rawModern(gateway.url, 'tools/call', { name: 'up__route', arguments: { region: 'eu' } });
    expect((body as unknown as { id: unknown }).id).toEqual(expect.any(Number));
  });

  it('come from the official client by themselves, and reach the upstream', async () => {
    const client = await connectV2(gateway.url);
    await client.tools();
    const called = await client.call('up__route', { region: 'zürich', shard: 7, dry: true, to: { tenant: ' t ' } });
    expect(called.content).toEqual([{ type: 'text', text: 'ran' }]);
    expect(upstream.requests.at(-1)?.headers).toMatchObject({
      'mcp-param-region': base64('zürich'),
      'mcp-param-shard': '7',
      'mcp-param-dry': 'true',
      'mcp-param-tenant': base64(' t '),
    });
    await client.close();
  });

  it('are not asked of the legacy era, which has no such headers', async () => {
    const client = await connectV2(gateway.url, 'legacy');
    const called = await client.call('up__route', { region: 'eu' });
    expect(called.content).toEqual([{ type: 'text', text: 'ran' }]);
    await client.close();
  });

  it('are not asked of a pipe, which has none, also where another process relays it', async () => {
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'piped', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    };
    const relayed = new Request(gateway.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': 'up__route',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'up__route', arguments: { region: 'eu' }, _meta },
      }),
    });
    const answer = await gateway.face.handle(relayed, STDIO_PRINCIPAL);
    expect(await answer.json()).toMatchObject({ result: { content: [{ type: 'text', text: 'ran' }] } });
  });
});
