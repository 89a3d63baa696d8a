import { describe, expect, it } from 'vitest';
import { toolChangeListSchema } from '../../src/contract/call-schemas.ts';
import { createClient } from '../../src/contract/client.ts';
import { callListSchema } from '../../src/contract/schemas.ts';
import { createMetrics } from '../../src/metrics.ts';
import { callRecord } from '../suites/call-record-suite.ts';
import { KEY, MINUTE, NOON } from '../suites/store-fixture.ts';
import { seen } from '../suites/tool-change-suite.ts';
import { ADMIN_KEY, AGENT_KEY, asAdmin, fakeApp, PUBLIC_URL } from './fake-app.ts';

const PATH = '/api/v1/admin/calls';
const iso = (nth: number) => new Date(NOON + nth * MINUTE).toISOString();

async function appWithCalls() {
  const app = fakeApp();
  const calls = [
    callRecord(1),
    callRecord(2, { key: { kind: 'api', name: 'b' }, outcome: 'timeout', era: 'http', tool: null }),
    callRecord(3, { actor: 'apikey:b', outcome: 'tool_error', arguments: { q: 1 } }),
  ];
  await app.records.append(calls, []);
  const list = async (query: string) => {
    const answer = await app.send(`${PATH}?${query}`, { headers: asAdmin });
    expect(answer.status).toBe(200);
    return callListSchema.parse(await answer.json());
  };
  return { app, list, ids: calls.map(({ id }) => id) };
}

describe('the records of calls', () => {
  it('are listed newest first, as they were kept', async () => {
    const { list, ids } = await appWithCalls();
    const page = await list('');
    expect(page.calls.map(({ id }) => id)).toEqual(ids.toReversed());
    expect(page.next_before).toBeNull();
    expect(page.not_recorded).toBeNull();
    const { key, occurred_at, ...kept } = callRecord(1);
    expect(page.calls[2]).toEqual({
      ...kept,
      occurred_at: iso(1),
      connection_kind: key.kind,
      connection_name: key.name,
    });
  });

  it.each([
    ['kind=api', [2]],
    ['kind=mcp&name=acme', [3, 1]],
    ['actor=apikey:b', [3]],
    ['tool=search', [3, 1]],
    ['outcome=timeout', [2]],
    ['outcome=timeout&outcome=tool_error', [3, 2]],
    [`since=${iso(2)}`, [3, 2]],
    [`until=${iso(2)}`, [1]],
    [`since=${encodeURIComponent('2026-11-23T13:03:00+01:00')}`, [3]],
  ])('are found by %s', async (query, expected) => {
    const { list, ids } = await appWithCalls();
    expect((await list(query)).calls.map(({ id }) => id)).toEqual(expected.map((nth) => ids[nth - 1]));
  });

  it('are paged without gaps', async () => {
    const { list, ids } = await appWithCalls();
    const first = await list('limit=2');
    expect(first.next_before).toBe(ids[1]);
    const second = await list(`limit=2&before=${first.next_before}`);
    expect([...first.calls, ...second.calls].map(({ id }) => id)).toEqual(ids.toReversed());
    expect(second.next_before).toBeNull();
  });

  it('tell how many are missing in the time asked for, and since when', async () => {
    const { app, list } = await appWithCalls();
    const loss = { replica_id: 'r', since: NOON + MINUTE, until: NOON + 2 * MINUTE, calls: 3 };
    await app.records.append(
      [],
      [
        { ...loss, id: '0' },
        { ...loss, id: '1', since: NOON, until: NOON, calls: 4 },
      ],
    );
    expect((await list('')).not_recorded).toEqual({ calls: 7, since: iso(0), until: iso(2) });
    expect((await list(`since=${iso(1)}`)).not_recorded).toMatchObject({ calls: 3 });
    expect((await list(`since=${iso(3)}`)).not_recorded).toBeNull();
  });

  it.each([
    ['outcome=good', 'outcome'],
    ['since=yesterday', 'since'],
    ['before=1', 'before'],
    ['kind=MCP', 'kind'],
    ['limit=0', 'limit'],
    ['actor=a&actor=b', 'actor'],
    ['principal=a', 'principal'],
  ])('are refused %s, with the name of the field', async (query, field) => {
    const answer = await fakeApp().send(`${PATH}?${query}`, { headers: asAdmin });
    expect(answer.status).toBe(400);
    const { issues } = (await answer.json()) as { issues: { path: string }[] };
    expect(issues.map(({ path }) => path.split('.')[0])).toContain(field);
  });

  it('are asked for by the typed client', async () => {
    const { app, ids } = await appWithCalls();
    const fetch = (url: string, init: RequestInit) => app.send(url, init);
    const client = createClient({ baseUrl: PUBLIC_URL, headers: asAdmin, fetch });
    const page = await client.listCalls({ query: { kind: 'mcp', name: 'acme', outcome: ['ok'], limit: 30 } });
    expect(page.calls.map(({ id }) => id)).toEqual([ids[0]]);
  });
});

describe('the changes of tools', () => {
  const path = '/api/v1/admin/connections/mcp/acme/tool-changes';

  it('are listed newest first, and paged', async () => {
    const app = fakeApp();
    await app.toolChanges.append(KEY, [seen(1), seen(2, { tool: 'u' })]);
    const list = async (query: string) =>
      toolChangeListSchema.parse(await (await app.send(`${path}?${query}`, { headers: asAdmin })).json());
    const first = await list('limit=1');
    expect(first.tool_changes).toMatchObject([
      { tool: 'u', change: 'changed', parts: ['description'], occurred_at: iso(2) },
    ]);
    const second = await list(`before=${first.next_before}`);
    expect(second.tool_changes.map(({ tool }) => tool)).toEqual(['t']);
    expect(second.next_before).toBeNull();
  });

  it('of a connection that never was are a typing error', async () => {
    expect((await fakeApp().send(path, { headers: asAdmin })).status).toBe(404);
  });
});

describe('/metrics', () => {
  const page = { read: async () => ({ content_type: 'text/plain; version=0.0.4', text: 'up 1\n' }) };
  const statusOf = async (access: 'admin' | 'agent' | 'public', key?: string) => {
    const app = fakeApp({ metrics: { access, ...page } });
    return (await app.send('/metrics', { headers: key ? { authorization: `Bearer ${key}` } : {} })).status;
  };

  it('is for an admin, unless the operator opens it to any key or to everybody', async () => {
    const of = async (access: 'admin' | 'agent' | 'public') => [
      await statusOf(access),
      await statusOf(access, AGENT_KEY),
      await statusOf(access, ADMIN_KEY),
    ];
    expect(await of('admin')).toEqual([401, 403, 200]);
    expect(await of('agent')).toEqual([401, 200, 200]);
    expect(await of('public')).toEqual([200, 200, 200]);
  });

  it('answers in the format of Prometheus', async () => {
    const metrics = createMetrics();
    const key = { kind: 'mcp', name: 'notes' };
    metrics.callBegan(key);
    metrics.callBegan(key);
    metrics.callEnded(key, 'tool_error', 30);
    metrics.callsLost(2);
    metrics.tokenChanged(key, 'refresh_succeeded');
    const connections = [
      { kind: 'mcp', state: 'connected', health: 'ok', valid: true },
      { kind: 'mcp', state: 'connected', health: 'ok', valid: true },
      { kind: 'api', state: null, health: null, valid: false },
    ];
    const sample = { connections, refresh_lag_seconds: 4, refreshes_in_flight: 1 };
    const { content_type, text } = await metrics.render(sample);
    expect(content_type).toMatch(/^text\/plain/);
    const lines = text.split('\n').filter((line) => line.startsWith('mcp_data_platform_'));
    for (const line of [
      'calls_in_flight{connection="mcp/notes"} 1',
      'calls_total{connection="mcp/notes",outcome="tool_error"} 1',
      'call_duration_seconds_bucket{le="0.025",connection="mcp/notes"} 0',
      'call_duration_seconds_bucket{le="0.05",connection="mcp/notes"} 1',
      'call_records_lost_total 2',
      'token_events_total{connection="mcp/notes",event="refresh_succeeded"} 1',
      'connections{kind="mcp",state="connected",health="ok"} 2',
      'connections{kind="api",state="none",health="configuration_invalid"} 1',
      'database_up 1',
      'refresh_lag_seconds 4',
      'refreshes_in_flight 1',
    ]) {
      expect(lines).toContain(`mcp_data_platform_${line}`);
    }
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    expect(text).toMatch(/^process_resident_memory_bytes /m);
  });

  it('forgets the connections that are gone, and says so when the database does not answer', async () => {
    const metrics = createMetrics();
    const one = { kind: 'mcp', state: 'revoked', health: 'ok', valid: true };
    await metrics.render({ connections: [one], refresh_lag_seconds: 3, refreshes_in_flight: 0 });
    const { text } = await metrics.render({ connections: null, refresh_lag_seconds: null, refreshes_in_flight: 0 });
    expect(text).toContain('mcp_data_platform_database_up 0');
    expect(text).not.toMatch(/^mcp_data_platform_(connections|refresh_lag_seconds)\b.* \d/m);
  });
});
