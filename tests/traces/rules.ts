import type { Patch } from '../support/compiled-source.ts';
import type { TraceId } from './table.ts';

/** One rule, or one part of it, taken out of a copy of the source while all others stay; the traces that then go wrong. */
export type Dropped = {
  rules: readonly number[];
  /** What the copy does instead. */
  without: string;
  patches: readonly Patch[];
  traces: readonly TraceId[];
};

const ATTEMPT = 'src/flows/attempt.ts';
const ESCROW = 'src/flows/escrow.ts';
const SETTLE = 'src/flows/settle.ts';
const REVOCATION = 'src/flows/revocation.ts';
const INTENT_RULES = 'src/core/intent-rules.ts';
const SETTLEMENT = 'src/db/settlement.ts';

const ANY_INCARNATION: Patch[] = [
  { file: SETTLEMENT, find: 'if (current.incarnation !== fence.incarnation) return false;', replace: '' },
  {
    file: SETTLE,
    find: 'if (!credential || credential.incarnation !== entry.incarnation)',
    replace: 'if (!credential)',
  },
];

const REPEATED_GENERATIONS: Patch[] = [
  {
    file: SETTLEMENT,
    find: 'numbers.shift();',
    replace: 'current.generation + 1n;',
  },
  {
    file: 'src/db/connections.ts',
    find: '.values({ ...key, incarnation, lock_key: lockKeyOf(key) })',
    replace: '.values({ ...key, incarnation, lock_key: lockKeyOf(key), generation: 0n })',
  },
];

/** A late token is refused twice: before it is listed, and before it is sent. */
const REVOKED_WHILE_CONNECTED: Patch[] = [
  { file: REVOCATION, find: "if (current?.state === 'connected') return;", replace: '' },
  { file: REVOCATION, find: "if (credential?.state === 'connected') {", replace: "if (credential?.state === '') {" },
];

export const DROPPED: readonly Dropped[] = [
  {
    rules: [1],
    without: 'generations begin anew with each connection, and writes do not name its incarnation',
    patches: [...ANY_INCARNATION, ...REPEATED_GENERATIONS],
    traces: ['8', '10'],
  },
  {
    rules: [1, 13],
    without: 'writes do not name the incarnation, and an escrow applies to whatever is connected',
    patches: [
      ...ANY_INCARNATION,
      {
        file: SETTLEMENT,
        find: 'if (current.generation === fence.parent_generation) return true;',
        replace: "if (current.state === 'connected') return true;",
      },
    ],
    traces: ['9'],
  },
  {
    rules: [2],
    without: 'Disconnect leaves the generation as it is',
    patches: [
      {
        file: SETTLEMENT,
        find: 'numbers.shift();',
        replace: "change.type === 'disconnected' ? current.generation : numbers.shift();",
      },
    ],
    traces: ['11', '11b'],
  },
  {
    rules: [3],
    without: 'Disconnect draws no number among the consents',
    patches: [
      {
        file: 'src/db/settlement-columns.ts',
        find: "await draw(transaction, 'consent_seq');",
        replace: 'row.consent_seq;',
      },
    ],
    traces: ['12'],
  },
  {
    rules: [3],
    without: 'a consent does not name the incarnation that it was begun for',
    patches: ANY_INCARNATION,
    traces: ['12b'],
  },
  {
    rules: [4],
    without: 'a replica has another identity with each start',
    patches: [
      {
        file: 'src/db/replica-identity.ts',
        find: 'if (existing !== undefined) return existing;',
        replace: '',
      },
      {
        file: 'src/db/replica-identity.ts',
        find: 'return (await readIdentity(dataDir)) ?? replica_id;',
        replace: 'return replica_id;',
      },
    ],
    traces: ['rule 4'],
  },
  {
    rules: [5],
    without: 'an attempt begins without draining the escrow',
    patches: [{ file: ATTEMPT, find: 'await deps.keeper.drain(request.key);', replace: '' }],
    traces: ['4'],
  },
  {
    rules: [6],
    without: 'an intent is written over the one that was not read',
    patches: [
      {
        file: 'src/db/intents.ts',
        find: 'and held.intent_attempt_id is not distinct from wanted.expected_attempt_id',
        replace: '',
      },
    ],
    traces: ['1'],
  },
  {
    rules: [7],
    without: 'an open intent is no lease',
    patches: [{ file: INTENT_RULES, find: 'if (intent.age_ms < lease)', replace: 'if (intent.age_ms < 0)' }],
    traces: ['7', '23b'],
  },
  {
    rules: [7],
    without: 'a claim is used however old it is',
    patches: [{ file: ATTEMPT, find: 'if (!late) return true;', replace: 'return true;' }],
    traces: ['7b'],
  },
  {
    rules: [8],
    without: 'an attempt without an answer closes its intent',
    patches: [
      {
        file: SETTLE,
        find: "const ambiguous = outcome.type === 'transient' && outcome.ambiguous;",
        replace: 'const ambiguous = false;',
      },
    ],
    traces: ['5'],
  },
  {
    rules: [9],
    without: 'the request ends with its deadline',
    patches: [
      { file: ATTEMPT, find: 'listen_ms: settings.late_listening', replace: 'listen_ms: settings.token_deadline' },
    ],
    traces: ['6'],
  },
  {
    rules: [9],
    without: 'an attempt that still listens counts as over',
    patches: [
      {
        file: INTENT_RULES,
        find: 'const bootOver = own && (intent.boot_id < self.boot_id || !self.listening.has(intent.attempt_id));',
        replace: 'const bootOver = own;',
      },
      { file: INTENT_RULES, find: 'if (self.listening.has(intent.attempt_id)) {', replace: 'if (false) {' },
    ],
    traces: ['6b'],
  },
  {
    rules: [10],
    without: 'a reply goes to the database without lying in the escrow first',
    patches: [{ file: ESCROW, find: "let stored = entry.reply.type !== 'answer';", replace: 'let stored = true;' }],
    traces: ['3', '4', '17', '18'],
  },
  {
    rules: [10],
    without: 'the escrow has one file',
    patches: [
      {
        file: 'src/db/escrow.ts',
        find: 'const fileOf = (attemptId: string, suffix: string) => {',
        replace: "const fileOf = (_: string, suffix: string) => {\nconst attemptId = 'one';",
      },
      { file: 'src/db/escrow.ts', find: 'entry.attempt_id === attemptId', replace: 'true' },
    ],
    traces: ['14'],
  },
  {
    rules: [11, 20],
    without: 'a commit of its own is not recognised, and late tokens are revoked although the row is connected',
    patches: [
      {
        file: SETTLE,
        find: 'if (credential.settled_attempt_id === entry.attempt_id) return { outcome, applied: true, current: credential };',
        replace: '',
      },
      {
        file: SETTLE,
        find: 'applied: result.applied || current?.settled_attempt_id === entry.attempt_id,',
        replace: 'applied: result.applied,',
      },
      ...REVOKED_WHILE_CONNECTED,
    ],
    traces: ['15'],
  },
  {
    rules: [12],
    without: 'a reply that neither disk nor database takes is given up',
    patches: [{ file: ESCROW, find: 'if (stored) {', replace: 'if (true) {' }],
    traces: ['19'],
  },
  {
    rules: [12],
    without: 'the escrow is cleared although the commit is not confirmed',
    patches: [{ file: ESCROW, find: 'if (stored) {', replace: 'if (stored) {\nawait escrow.clear(entry.attempt_id);' }],
    traces: ['3', '4', '17'],
  },
  {
    rules: [13],
    without: 'an escrow never lifts a verdict',
    patches: [
      {
        file: SETTLEMENT,
        find: 'current.revocation?.from_generation === fence.parent_generation &&',
        replace: 'false &&',
      },
    ],
    traces: ['17'],
  },
  {
    rules: [13],
    without: 'an escrow lifts the verdict of a person, too',
    patches: [{ file: SETTLEMENT, find: "current.revocation.decided_by !== 'person'", replace: 'true' }],
    traces: ['11', '11b'],
  },
  {
    rules: [13],
    without: 'nothing is replayed at a start',
    patches: [{ file: ESCROW, find: 'if (!(await drainAll()) || recorded) return;', replace: 'if (recorded) return;' }],
    traces: ['2', '17'],
  },
  {
    rules: [13, 19],
    without: 'a consent lands where nothing changed since, instead of where no later one has landed',
    patches: [
      {
        file: SETTLE,
        find: "fence: { by: 'consent', incarnation: entry.incarnation, consent_seq },",
        replace: "fence: { by: 'generation', incarnation: entry.incarnation, generation: entry.parent_generation },",
      },
    ],
    traces: ['13'],
  },
  {
    rules: [13, 19],
    without: 'a consent lands whatever has landed since',
    patches: [{ file: SETTLEMENT, find: 'return current.consent_seq < fence.consent_seq;', replace: 'return true;' }],
    traces: ['12', '13b'],
  },
  {
    rules: [14, 15],
    without: 'any replica resolves an attempt whose outcome is unknown',
    patches: [
      {
        file: INTENT_RULES,
        find: 'return own ? ownerVerdict(intent, input) : strangerVerdict(intent, input);',
        replace: 'return own ? ownerVerdict(intent, input) : { may: true };',
      },
    ],
    traces: ['2', '3'],
  },
  {
    rules: [14],
    without: 'a grace window is no reason to repeat an attempt early',
    patches: [
      {
        file: INTENT_RULES,
        find: 'return profile.honours_previous && age_ms <= (profile.grace_window ?? Number.POSITIVE_INFINITY);',
        replace: 'return false;',
      },
    ],
    traces: ['20'],
  },
  {
    rules: [15],
    without: 'another replica does not wait for the owner',
    patches: [
      {
        file: INTENT_RULES,
        find: 'const wait = Math.max(settings.owner_wait - unseen, 0);',
        replace: 'const wait = 0;',
      },
    ],
    traces: ['2', '3'],
  },
  {
    rules: [15],
    without: 'another replica waits for the owner for ever',
    patches: [{ file: INTENT_RULES, find: 'return until <= now ? { may: true } : {', replace: 'return {' }],
    traces: ['22'],
  },
  {
    rules: [16],
    without: 'an attempt that ended with its process is not told of',
    patches: [{ file: ATTEMPT, find: 'await tellInterrupted(deps, prepared.ready.credential);', replace: '' }],
    traces: ['rule 16'],
  },
  {
    rules: [17],
    without: 'a refusal after an unknown outcome is called the will of the provider',
    patches: [
      {
        file: 'src/core/refresh-outcome.ts',
        find: "if (context.ambiguous_before) return 'rotation_outcome_lost';",
        replace: '',
      },
    ],
    traces: ['rule 17'],
  },
  {
    rules: [18],
    without: 'the events of a verdict are written before its fence is tested',
    patches: [
      {
        file: SETTLEMENT,
        find: 'results.set(settlement, { applied: false, current });\n    } else',
        replace:
          'results.set(settlement, { applied: false, current });\nawait insertEvents(transaction, tools, [{ key: settlement.key, events: settlement.events }]);\n    } else',
      },
    ],
    traces: ['21'],
  },
  {
    rules: [18],
    without: 'a verdict deletes whatever token is there',
    patches: [{ file: SETTLEMENT, find: 'return current.generation === fence.generation;', replace: 'return true;' }],
    traces: ['21'],
  },
  {
    rules: [20],
    without: 'a late token is revoked upstream although the row is connected',
    patches: REVOKED_WHILE_CONNECTED,
    traces: ['16'],
  },
  {
    rules: [20],
    without: 'a late token is revoked upstream although a consent is pending',
    patches: [
      {
        file: REVOCATION,
        find: 'if (!(await consents.pending(one.key, now))) return undefined;',
        replace: 'return undefined;',
      },
    ],
    traces: ['16b'],
  },
  {
    rules: [21],
    without: 'a stop does not wait for replies',
    patches: [
      {
        file: 'src/flows/refresh.ts',
        find: 'while (flights.size > 0 || deps.listening.size > 0 || deps.keeper.unsaved > 0) {',
        replace: 'while (false) {',
      },
    ],
    traces: ['rule 21'],
  },
  {
    rules: [22],
    without: 'a data directory may have two owners',
    patches: [
      {
        file: 'src/db/embedded/owner-lock.ts',
        find: 'const locks = await takeLocks(dataDir, realPath);',
        replace: 'const locks = (await takeLocks(dataDir, realPath)) ?? [];',
      },
    ],
    traces: ['23'],
  },
];
