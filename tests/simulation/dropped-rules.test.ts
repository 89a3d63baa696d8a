import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPatcher, type Patch } from '../support/compiled-source.ts';
import type { Fault, Taste } from './plan.ts';
import type * as schedule from './schedule.ts';

const INTENT_RULES = 'src/core/intent-rules.ts';
const MEMORY_CLAIM = 'tests/support/memory-credentials.ts';
const MEMORY_FENCE = 'tests/support/memory-settlement.ts';

type Dropped = { rule: string; patches: Patch[]; taste: Taste; faults: Fault[]; seen: RegExp };

/** One rule of the protocol each, all others on: in the product, or in the memory that stands where the database stands. */
const DROPPED: Dropped[] = [
  {
    rule: 'a reply is escrowed before it is parsed (rule 10)',
    patches: [
      {
        file: 'src/flows/escrow.ts',
        find: "let stored = entry.reply.type !== 'answer';",
        replace: 'let stored = true;',
      },
    ],
    taste: 'strict',
    faults: ['outage'],
    seen: /^I[12]: /,
  },
  {
    rule: 'the escrow is drained before anything is presented (rule 5)',
    patches: [{ file: 'src/flows/attempt.ts', find: 'await deps.keeper.drain(request.key);', replace: '' }],
    taste: 'strict',
    faults: ['outage', 'flake'],
    seen: /^I[12]: /,
  },
  {
    rule: 'the intent is claimed by compare-and-set (rule 6)',
    patches: [
      {
        file: MEMORY_CLAIM,
        find: "if (state !== 'connected' || (open?.attempt_id ?? null) !== expected_attempt_id) return false;",
        replace: "if (state !== 'connected') return false;",
      },
    ],
    taste: 'strict',
    faults: ['lock', 'outage', 'stall'],
    seen: /^I2: /,
  },
  {
    rule: 'the intent is a lease (rule 7)',
    patches: [{ file: INTENT_RULES, find: 'if (intent.age_ms < lease)', replace: 'if (intent.age_ms < 0)' }],
    taste: 'slow',
    faults: ['lock', 'crash'],
    seen: /^I2: .* while /,
  },
  {
    rule: 'an ambiguous attempt keeps its intent open (rule 8)',
    patches: [
      {
        file: 'src/flows/settle.ts',
        find: "const ambiguous = outcome.type === 'transient' && outcome.ambiguous;",
        replace: 'const ambiguous = false;',
      },
    ],
    taste: 'slow',
    faults: ['lost'],
    seen: /^I[12]: /,
  },
  {
    rule: 'a failure names the generation that it saw, and a success its parent (rules 11, 13)',
    patches: [
      {
        file: MEMORY_FENCE,
        find: "if (fence.by === 'generation') return current.generation === fence.generation;",
        replace: "if (fence.by === 'generation') return true;",
      },
      {
        file: MEMORY_FENCE,
        find: 'if (current.generation === fence.parent_generation) return true;',
        replace: "if (current.state === 'connected') return true;",
      },
    ],
    taste: 'slow',
    faults: ['connect'],
    seen: /^I[134]: /,
  },
  {
    rule: 'a write names the incarnation that it saw (rule 1)',
    patches: [
      {
        file: MEMORY_FENCE,
        find: 'if (current.incarnation !== fence.incarnation) return false;',
        replace: '',
      },
      {
        file: 'src/flows/settle.ts',
        find: 'if (!credential || credential.incarnation !== entry.incarnation)',
        replace: 'if (!credential)',
      },
      {
        file: 'src/flows/authorize.ts',
        find: 'if (connection?.incarnation !== consent.incarnation) return EXPIRED;',
        replace: 'if (!connection) return EXPIRED;',
      },
    ],
    taste: 'slow',
    faults: ['delete', 'connect'],
    seen: /^I3: /,
  },
  {
    rule: 'a consent lands only where none after it has (rules 3, 19)',
    patches: [
      {
        file: MEMORY_FENCE,
        find: "if (fence.by === 'consent') return current.consent_seq < fence.consent_seq;",
        replace: "if (fence.by === 'consent') return true;",
      },
    ],
    taste: 'slow',
    faults: ['disconnect', 'connect'],
    seen: /^I[134]: /,
  },
  {
    rule: 'only its owner resolves an ambiguous attempt (rules 14, 15)',
    patches: [
      {
        file: INTENT_RULES,
        find: 'return own ? ownerVerdict(intent, input) : strangerVerdict(intent, input);',
        replace: 'return own ? ownerVerdict(intent, input) : { may: true };',
      },
    ],
    taste: 'strict',
    faults: ['crash', 'outage'],
    seen: /^I[12]: /,
  },
];

/** Far more than any of them needs; the longest search here took some dozens. */
const MOST = 600;

describe('without the rule that', () => {
  const patcher = createPatcher(['src', 'tests/support', 'tests/simulation']);
  const { stackTraceLimit } = Error;
  // As `playAll` does, and why.
  beforeAll(() => {
    Error.stackTraceLimit = 0;
  });
  afterAll(() => {
    Error.stackTraceLimit = stackTraceLimit;
    patcher.remove();
  });

  it.each(DROPPED)('$rule, a schedule goes wrong', async ({ patches, taste, faults, seen }) => {
    const copy = patcher.patched(patches);
    try {
      const { play } = (await import(copy.url('tests/simulation/schedule.js'))) as typeof schedule;
      for (let seed = 1; seed <= MOST; seed += 1) {
        const { violation } = await play({ seed, taste, faults });
        if (violation === null) continue;
        expect(violation).toMatch(seen);
        return;
      }
      expect.unreachable(`${MOST} schedules, and none goes wrong`);
    } finally {
      copy.remove();
    }
  });
});
