import type { z } from 'zod';
import type { ToolChangeList, toolChangeQuerySchema } from '../contract/call-schemas.ts';
import type { CallList, callQuerySchema } from '../contract/schemas.ts';
import type { ConnectionKey } from '../core/connection.ts';
import type { CallLoss, CallRecord, CallRecordStore, ToolChangeStore } from '../core/ports.ts';

const iso = (instant: number) => new Date(instant).toISOString();
const instantOf = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text));

function wireRecord({ key, occurred_at, ...rest }: CallRecord): CallList['calls'][number] {
  return { ...rest, occurred_at: iso(occurred_at), connection_kind: key.kind, connection_name: key.name };
}

function sumOf(losses: readonly CallLoss[]): CallList['not_recorded'] {
  if (losses.length === 0) return null;
  return {
    calls: losses.reduce((sum, { calls }) => sum + calls, 0),
    since: iso(Math.min(...losses.map(({ since }) => since))),
    until: iso(Math.max(...losses.map(({ until }) => until))),
  };
}

/** A page of the records, and what of the time asked for is missing in them. */
export async function callHistory(
  store: Pick<CallRecordStore, 'list' | 'losses'>,
  query: z.output<typeof callQuerySchema>,
): Promise<CallList> {
  const time = { since: instantOf(query.since), until: instantOf(query.until) };
  // One more than asked for tells whether there is another page.
  const [found, losses] = await Promise.all([
    store.list({ ...query, ...time, limit: query.limit + 1 }),
    store.losses(time),
  ]);
  const calls = found.slice(0, query.limit);
  const last = calls.at(-1);
  return {
    calls: calls.map(wireRecord),
    next_before: found.length > query.limit && last ? last.id : null,
    not_recorded: sumOf(losses),
  };
}

/** A page of how the tools of a connection changed. */
export async function toolChangeHistory(
  store: Pick<ToolChangeStore, 'list'>,
  connection: ConnectionKey,
  query: z.output<typeof toolChangeQuerySchema>,
): Promise<ToolChangeList> {
  const found = await store.list({ key: connection, ...query, limit: query.limit + 1 });
  const page = found.slice(0, query.limit);
  const last = page.at(-1);
  return {
    tool_changes: page.map(({ key: _of, occurred_at, ...rest }) => ({ ...rest, occurred_at: iso(occurred_at) })),
    next_before: found.length > query.limit && last ? last.id : null,
  };
}
