import { sql } from 'kysely';
import { beforeEach, expect, it } from 'vitest';
import { CALL_OUTCOMES, timeOrderedId } from '../../src/core/call-record.ts';
import type { CallRecord } from '../../src/core/ports.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import type { Fixture } from './store-fixture.ts';
import { KEY, MINUTE, NOON, storesOf } from './store-fixture.ts';

const bytes = (fill: number) => new Uint8Array(10).fill(fill);

/** The nth call, in the nth minute. */
export function callRecord(nth: number, more: Partial<CallRecord> = {}): CallRecord {
  const occurred_at = NOON + nth * MINUTE;
  return {
    id: timeOrderedId(occurred_at, bytes(nth)),
    occurred_at,
    key: KEY,
    actor: 'apikey:a',
    method: 'tools/call',
    tool: 'search',
    operation: null,
    outcome: 'ok',
    duration_ms: 1.5,
    request_bytes: 10,
    response_bytes: 5_000_000_000,
    era: 'modern',
    arguments: null,
    replica_id: 'replica-a',
    ...more,
  };
}

export function callRecordSuite(opened: () => OpenDatabase): void {
  let fixture: Fixture;
  let calls: Fixture['stores']['calls'];
  beforeEach(() => {
    fixture = storesOf(opened());
    calls = fixture.stores.calls;
  });
  const found = async (query: Partial<Parameters<typeof calls.list>[0]> = {}) =>
    (await calls.list({ limit: 10, ...query })).map(({ id }) => id);

  it('gives a record back as it was, whatever its texts and arguments are', async () => {
    const one = callRecord(1);
    const other = callRecord(2, {
      tool: null,
      operation: `it's "quoted" \\ {} ü 🙂 $1`,
      request_bytes: null,
      response_bytes: null,
      era: 'http',
      outcome: 'upstream_error',
      arguments: { q: ['a', 1, null, { deep: true }] },
    });
    await calls.append([one, other], []);
    expect(await calls.list({ limit: 10 })).toEqual([other, one]);
    await calls.append([], []);
  });

  it('takes a batch twice as once, and either whole or not at all', async () => {
    const batch = [callRecord(1), callRecord(2)];
    await calls.append(batch, []);
    await calls.append([...batch, callRecord(3)], []);
    expect(await found()).toHaveLength(3);
  });

  it('finds by connection, actor, tool, outcome and time, newest first, and pages without gaps', async () => {
    const all = [
      callRecord(1),
      callRecord(2, { key: { kind: 'api', name: 'acme' }, outcome: 'timeout' }),
      callRecord(3, { key: { kind: 'mcp', name: 'other' }, actor: 'apikey:b' }),
      callRecord(4, { tool: 'create', outcome: 'tool_error' }),
    ];
    await calls.append(all, []);
    const [one = '', two = '', three = '', four = ''] = all.map(({ id }) => id);
    expect(await found()).toEqual([four, three, two, one]);
    expect(await found(KEY)).toEqual([four, one]);
    expect(await found({ kind: 'mcp' })).toEqual([four, three, one]);
    expect(await found({ name: 'acme' })).toEqual([four, two, one]);
    expect(await found({ actor: 'apikey:b' })).toEqual([three]);
    expect(await found({ tool: 'search' })).toEqual([three, two, one]);
    expect(await found({ outcome: ['timeout', 'tool_error'] })).toEqual([four, two]);
    expect(await found({ outcome: [] })).toHaveLength(4);
    expect(await found({ since: NOON + 2 * MINUTE, until: NOON + 4 * MINUTE })).toEqual([three, two]);
    expect(await found({ limit: 2 })).toEqual([four, three]);
    expect(await found({ limit: 2, before: three })).toEqual([two, one]);
    expect(await found({ ...KEY, before: four })).toEqual([one]);
  });

  it('keeps one count of lost calls, however often it is written and however it grows', async () => {
    const loss = { id: timeOrderedId(NOON, bytes(9)), since: NOON, until: NOON + MINUTE, calls: 3, replica_id: 'r' };
    await calls.append([], [loss]);
    const grown = { ...loss, until: NOON + 2 * MINUTE, calls: 5 };
    await calls.append([callRecord(1)], [grown]);
    expect(await calls.losses({})).toEqual([grown]);
    expect(await calls.losses({ since: NOON + 3 * MINUTE })).toEqual([]);
    expect(await calls.losses({ since: NOON + 2 * MINUTE })).toEqual([grown]);
    expect(await calls.losses({ until: NOON })).toEqual([]);
  });

  it('prunes by age, in batches, and the counts of what was lost with them', async () => {
    const loss = { id: timeOrderedId(NOON, bytes(9)), since: NOON, until: NOON, calls: 3, replica_id: 'r' };
    await calls.append([callRecord(1), callRecord(2), callRecord(3)], [loss]);
    expect(await calls.prune(NOON + 3 * MINUTE, 1)).toBe(1);
    expect(await calls.prune(NOON + 3 * MINUTE, 10)).toBe(1);
    expect(await found()).toEqual([callRecord(3).id]);
    expect(await calls.losses({})).toEqual([]);
  });

  it('holds exactly the closed list of outcomes, and the database refuses any other', async () => {
    await calls.append(
      CALL_OUTCOMES.map((outcome, index) => callRecord(index, { outcome })),
      [],
    );
    expect(await calls.list({ limit: 50 })).toHaveLength(CALL_OUTCOMES.length);
    const { rows } = await sql<{ definition: string }>`
      select pg_get_constraintdef(oid) as definition from pg_constraint
      where conname = 'call_records_outcome_check'`.execute(opened().db);
    const allowed = rows[0]?.definition.match(/'[a-z_]+'/g)?.map((quoted) => quoted.slice(1, -1));
    expect(allowed?.sort()).toEqual([...CALL_OUTCOMES].sort());
    const broken = callRecord(40, { outcome: 'SECRET' as 'ok' });
    const failure = calls.append([callRecord(41), broken], []);
    await expect(failure).rejects.toMatchObject({ code: 'internal', cause: { code: '23514' } });
    expect(await found({ since: NOON + 40 * MINUTE })).toEqual([]);
  });
}
