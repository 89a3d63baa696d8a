import { afterEach, describe, expect, it, vi } from 'vitest';
import { LIST_BOUNDS } from '../../src/toolkits/mcp/upstream-list.ts';
import { startEraUpstream } from '../mcp/era-upstream.ts';
import { type RawReply, type RawUpstream, startRaw } from '../mcp/upstreams.ts';
import { aCall, openUpstream } from './mcp-context.ts';

const ODD_TOOL = {
  name: 'odd',
  title: 'Odd',
  inputSchema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: { a: { $anchor: 'x', type: 'string' } },
    properties: {
      q: { $ref: '#/$defs/a', 'x-vendor': { k: 1 } },
      region: { type: 'string', 'x-mcp-header': 'Region' },
    },
    if: { properties: {} },
    unevaluatedProperties: false,
  },
  outputSchema: { type: 'array', items: { type: 'number' } },
  annotations: { readOnlyHint: true, vendorHint: 'z' },
  icons: [{ src: 'data:image/png;base64,AA==', mimeType: 'image/png', extra: 1 }],
  vendorField: { a: [1] },
  _meta: { 'com.example/x': 1 },
};
const ODD_RESULT = {
  content: [{ type: 'text', text: 'hi', annotations: { priority: 0.5, zz: 1 }, vendor: 1 }],
  structuredContent: [1, 2],
  vendorTop: { b: 1 },
  _meta: { 'com.example/r': 3 },
};

describe('what an upstream sends arrives as it is', () => {
  let upstream: RawUpstream;
  afterEach(() => upstream.close());
  const serve = async (answer: (method: string, params: Record<string, unknown>) => RawReply) => {
    upstream = await startRaw(({ method, params }) => answer(method, params));
    return openUpstream({ endpoint: upstream.url });
  };

  it('keeps schemas, annotations, icons, _meta and unknown fields of a tool', async () => {
    const opened = await serve(() => ({ result: { tools: [ODD_TOOL] } }));
    expect(await opened.request('tools/list', {}, aCall())).toEqual({ tools: [ODD_TOOL] });
    await opened.close();
  });

  it('keeps a result verbatim, and mirrors the arguments that the tool wants as headers', async () => {
    const opened = await serve((method) =>
      method === 'tools/list' ? { result: { tools: [ODD_TOOL] } } : { result: ODD_RESULT },
    );
    await opened.request('tools/list', {}, aCall());
    const params = { name: 'odd', arguments: { region: 'zürich' }, _meta: { traceparent: '00-a-b-01' } };
    expect(await opened.request('tools/call', params, aCall())).toEqual(ODD_RESULT);
    const sent = upstream.requests.at(-1);
    expect(sent?.headers['mcp-param-region']).toBe(`=?base64?${Buffer.from('zürich').toString('base64')}?=`);
    expect(sent?.params._meta).toMatchObject({ traceparent: '00-a-b-01' });
    await opened.close();
  });

  it('never lets a caller speak for us: version, identity and capabilities stay ours (lesson 36)', async () => {
    const opened = await serve(() => ({ result: ODD_RESULT }));
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '1999-01-01',
      'io.modelcontextprotocol/clientInfo': { name: 'evil', version: '0' },
      progressToken: 7,
    };
    await opened.request('tools/call', { name: 'odd', _meta }, aCall());
    expect(upstream.requests.at(-1)?.params._meta).toEqual({
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'mcp-data-platform', version: '1.2.3' },
      'io.modelcontextprotocol/clientCapabilities': {},
    });
    await opened.close();
  });

  it('reads every page (lesson 31)', async () => {
    const opened = await serve((_method, { cursor }) => {
      const page = cursor === undefined ? 0 : Number(cursor);
      const tools = [{ name: `t${page}`, inputSchema: { type: 'object' } }];
      return { result: { tools, ...(page < 4 ? { nextCursor: String(page + 1) } : {}) } };
    });
    const { tools } = (await opened.request('tools/list', {}, aCall())) as { tools: Array<{ name: string }> };
    expect(tools.map((tool) => tool.name)).toEqual(['t0', 't1', 't2', 't3', 't4']);
    await opened.close();
  });

  it('gives up on an upstream whose pages never end', async () => {
    let page = 0;
    const opened = await serve(() => {
      page += 1;
      return { result: { tools: [], nextCursor: String(page) } };
    });
    await expect(opened.request('tools/list', {}, aCall())).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(page).toBe(LIST_BOUNDS.pages);
    await opened.close();
  });

  it('replaces what no database can hold in a tool, and leaves out one whose name has it', async () => {
    const described = (name: string, description: string) => ({ name, description, inputSchema: { type: 'object' } });
    const opened = await serve(() => ({
      result: {
        tools: [
          described('a', 'nul \0, half \ud800, whole \ud83d\ude00, spelt \\u0000 \\ud800'),
          described('n\0', ''),
          described('\ud800', ''),
        ],
      },
    }));
    const { tools } = await opened.request('tools/list', {}, aCall());
    expect(tools).toEqual([described('a', 'nul \ufffd, half \ufffd, whole \ud83d\ude00, spelt \\u0000 \\ud800')]);
    await opened.close();
  });

  it('leaves out a tool that breaks the protocol and mends a missing root type, so that the others stay (lesson 34)', async () => {
    const good = { name: 'good', inputSchema: { type: 'object' } };
    const opened = await serve(() => ({
      result: {
        tools: [
          { name: 'no-type', inputSchema: { properties: { a: { type: 'string' } } } },
          { name: 'no-schema' },
          { name: 'broken', inputSchema: { type: 'object', required: 'a' } },
          { inputSchema: { type: 'object' } },
          null,
          good,
        ],
      },
    }));
    expect(await opened.request('tools/list', {}, aCall())).toEqual({
      tools: [
        { name: 'no-type', inputSchema: { properties: { a: { type: 'string' } }, type: 'object' } },
        { name: 'no-schema', inputSchema: { type: 'object' } },
        good,
      ],
    });
    await opened.close();
  });

  it("relays the upstream's own JSON-RPC error with its data", async () => {
    const opened = await serve(() => ({ error: { code: 4711, message: 'no such city', data: { city: 'x' } } }));
    await expect(opened.request('tools/call', { name: 'odd' }, aCall())).rejects.toMatchObject({
      name: 'RpcError',
      code: 4711,
      message: 'no such city',
      data: { city: 'x' },
    });
    await opened.close();
  });

  it('reads a JSON-RPC error from the body of a 404', async () => {
    const opened = await serve(() => ({ error: { code: -32601, message: 'Method not found' }, status: 404 }));
    await expect(opened.request('tools/call', { name: 'odd' }, aCall())).rejects.toMatchObject({ code: -32601 });
    await opened.close();
  });
});

it('tells that a resource changed without what concerns our own stream with the upstream', async () => {
  const upstream = await startEraUpstream('modern');
  const connection = openUpstream({ endpoint: upstream.url });
  const told = vi.fn();
  const end = new AbortController();
  try {
    await connection.subscribe?.('file:///note', told, end.signal);
    await vi.waitFor(() => {
      upstream.touch('file:///note');
      expect(told).toHaveBeenCalled();
    });
    expect(told.mock.calls[0]).toEqual([{ uri: 'file:///note' }]);
  } finally {
    end.abort();
    await connection.close();
    await upstream.close();
  }
});
