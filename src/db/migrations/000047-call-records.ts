import { statements } from './statements.ts';

/** Later migrations add to them. */
const OUTCOMES = [
  'ok',
  'tool_error',
  'upstream_error',
  'input_required',
  'needs_person',
  'unavailable',
  'timeout',
  'cancelled',
  'refused',
  'internal',
];

/**
 * No foreign key: what was called outlives the connection. The id sorts by time (RFC 9562, version 7), so that it is the
 * only order that is needed; each further index is paid for by every call.
 */
export const callRecords = statements(
  [
    `create table if not exists call_records (
      id uuid primary key,
      occurred_at timestamptz not null,
      connection_kind text not null,
      connection_name text not null,
      actor text not null,
      method text not null,
      tool text,
      operation text,
      outcome text not null constraint call_records_outcome_check
        check (outcome in (${OUTCOMES.map((outcome) => `'${outcome}'`).join(', ')})),
      duration_ms double precision not null,
      request_bytes bigint,
      response_bytes bigint,
      era text not null constraint call_records_era_check check (era in ('modern', 'legacy', 'http')),
      arguments jsonb,
      replica_id text not null
    )`,
    `create index if not exists call_records_connection
      on call_records (connection_kind, connection_name, id desc)`,
    `create table if not exists call_record_losses (
      id uuid primary key,
      since timestamptz not null,
      until timestamptz not null,
      calls bigint not null,
      replica_id text not null
    )`,
  ],
  [
    'drop table if exists call_record_losses',
    'drop index if exists call_records_connection',
    'drop table if exists call_records',
  ],
);
