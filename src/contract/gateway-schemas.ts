import { z } from 'zod';
import { ERROR_TABLE, type ErrorCode } from '../core/errors.ts';

export const GATEWAY_STATES = ['ok', 'unavailable', 'needs_person'] as const;

const ERROR_CODES = Object.keys(ERROR_TABLE) as [ErrorCode, ...ErrorCode[]];
const instant = z.iso.datetime();

export const gatewayStatusSchema = z
  .object({
    state: z.enum(GATEWAY_STATES),
    tools: z.number().int(),
    prompts: z.number().int(),
    resources: z.number().int().describe('Templates included.'),
    listed_at: instant.nullable().describe('null: never listed.'),
    last_success_at: instant.nullable().describe('The last listing or call that the upstream answered.'),
    last_error: z.object({ code: z.enum(ERROR_CODES), message: z.string(), at: instant }).nullable(),
  })
  .describe('As the replica that answers has found the upstream since it started.');
export type GatewayStatus = z.infer<typeof gatewayStatusSchema>;
