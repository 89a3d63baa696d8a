import { z } from 'zod';
import { CALL_ERAS, CALL_OUTCOMES } from '../core/call-record.ts';
import { TOOL_CHANGES, TOOL_PARTS } from '../core/tool-change.ts';
import { connectionParamsSchema, pageLimit } from './parameters.ts';

const instant = z.iso.datetime();

export const callRecordSchema = z.object({
  id: z.string(),
  occurred_at: instant.describe('When the call arrived.'),
  connection_kind: z.string(),
  connection_name: z.string(),
  actor: z.string(),
  method: z.string().describe('Of MCP, such as `tools/call`, or of HTTP.'),
  tool: z.string().nullable().describe("The upstream's own name of the tool."),
  operation: z.string().nullable().describe('What was asked of an API.'),
  outcome: z
    .enum(CALL_OUTCOMES)
    .describe(
      '`tool_error`: the tool says that it failed. `upstream_error`: the upstream answered with an error. `input_required`: it wants the input of the client first. `refused`: not sent.',
    ),
  duration_ms: z.number(),
  request_bytes: z.number().nullable(),
  response_bytes: z.number().nullable(),
  era: z.enum(CALL_ERAS),
  arguments: z.unknown().describe('null unless `record_arguments` is on.'),
  replica_id: z.string(),
});
export type CallRecord = z.infer<typeof callRecordSchema>;

export const callListSchema = z.object({
  calls: z.array(callRecordSchema).describe('Newest first.'),
  next_before: z.string().nullable().describe('The `before` of the next page; null: this was the last.'),
  not_recorded: z
    .object({ calls: z.number(), since: instant, until: instant })
    .nullable()
    .describe('Calls of the time asked for, of all connections, of which no record could be kept.'),
});
export type CallList = z.infer<typeof callListSchema>;

const time = z.iso.datetime({ offset: true, error: 'must be a time such as 2026-11-30T12:00:00Z' }).optional();
const text = z.string('must be given once').max(512, 'must be at most 512 characters').optional();
const outcome = z.enum(CALL_OUTCOMES, `must be one of ${CALL_OUTCOMES.join(', ')}`);

export const callQuerySchema = z.strictObject({
  kind: connectionParamsSchema.shape.kind.optional(),
  name: connectionParamsSchema.shape.name.optional(),
  actor: text,
  tool: text,
  outcome: z
    .preprocess((value) => (typeof value === 'string' ? [value] : value), z.array(outcome))
    .optional()
    .describe('May be repeated.') as unknown as z.ZodOptional<
    z.ZodType<CallRecord['outcome'][], CallRecord['outcome'] | CallRecord['outcome'][]>
  >,
  since: time.describe('Not before this time.'),
  until: time.describe('Before this time.'),
  limit: pageLimit,
  before: z.uuid('must be the next_before of an earlier answer').optional(),
});

export const toolChangeSchema = z.object({
  id: z.string(),
  occurred_at: instant.describe('When a listing showed it.'),
  tool: z.string().describe("The upstream's own name of the tool."),
  change: z.enum(TOOL_CHANGES),
  parts: z.array(z.enum(TOOL_PARTS)).describe('Which parts of the tool are others now; empty unless `changed`.'),
  before_digest: z.string().nullable().describe("SHA-256, hex, of the tool's JSON; null: it was not there."),
  after_digest: z.string().nullable(),
});

export const toolChangeListSchema = z.object({
  tool_changes: z.array(toolChangeSchema).describe('Newest first; the same change of one day (UTC) once.'),
  next_before: z.string().nullable().describe('The `before` of the next page; null: this was the last.'),
});
export type ToolChangeList = z.infer<typeof toolChangeListSchema>;

export const toolChangeQuerySchema = callQuerySchema.pick({ limit: true, before: true });
