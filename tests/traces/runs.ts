import { ATTEMPTS } from './attempts.ts';
import { CONSENTS } from './consents.ts';
import { ESCROWS } from './escrows.ts';
import { LATE_REPLIES } from './late-replies.ts';
import { OWNERS } from './owners.ts';
import type { Run } from './stage.ts';
import type { TraceId } from './table.ts';

export const RUNS: Record<TraceId, Run> = { ...ATTEMPTS, ...LATE_REPLIES, ...CONSENTS, ...ESCROWS, ...OWNERS };
