import type { ConnectionKey } from '../../src/core/connection.ts';
import { AppError } from '../../src/core/errors.ts';
import type { AttemptView, EscrowEntry, Random } from '../../src/core/ports.ts';
import type { Instant } from '../../src/core/token-set.ts';
import { createMemoryDatabase, type Memory } from '../support/memory-tables.ts';
import { seededRandom } from '../support/ports.ts';
import type { Ledger } from './ledger.ts';
import type { Fault, Plan } from './plan.ts';
import { createProvider, type Provider } from './provider.ts';
import type { Flows } from './replica.ts';
import { createDice, createScheduler, type Dice, type Scheduler, type Task } from './scheduler.ts';

/** One process, from its start to its end. Nothing of it runs after that. */
export type Life = {
  name: string;
  host: Host;
  alive: boolean;
  boot_id: bigint;
  started: number;
  flows: Flows | null;
  /** Refresh tokens that this process has received and may still hold in its memory alone. */
  received: Set<string>;
  /** The claim under which it presents, and what it had read before, by connection. */
  claims: Map<string, { attempt_id: string; generation: bigint }>;
  views: Map<string, { view: AttemptView; now: Instant }>;
  /** What takes each sleeper off its signal: Node keeps a signal that is listened to, and all behind it, for ever. */
  asleep: Set<() => void>;
  notices: { channel: string; listener: (payload: string) => void }[];
};

/** A machine with a data directory. */
export type Host = {
  name: string;
  /** Survives every crash: an entry is there once its write took effect. */
  disk: Map<string, EscrowEntry>;
  disk_fails_until: number;
  cut_off_until: number;
  /** How far its wall clock is ahead. */
  skew: number;
  life: Life | null;
  gone: boolean;
};

export const START: Instant = Date.UTC(2026, 10, 23, 12);
export const KEYS: readonly ConnectionKey[] = [
  { kind: 'mcp', name: 'acme' },
  { kind: 'mcp', name: 'beta' },
  { kind: 'mcp', name: 'gamma' },
  { kind: 'mcp', name: 'delta' },
  { kind: 'mcp', name: 'epsilon' },
];

export const unavailable = () => new AppError('database_unavailable', 'The database cannot be reached.');

export class DiskFault extends Error {
  override readonly name = 'DiskFault';

  constructor() {
    super('the disk fails');
  }
}

/** Everything that one schedule is played with. */
export type World = {
  plan: Plan;
  dice: Dice;
  random: Random;
  scheduler: Scheduler;
  provider: Provider;
  memory: Memory;
  hosts: Host[];
  ledger: Ledger;
  /** Advisory locks, each with the process whose session holds it. */
  locks: Map<bigint, Life>;
  /** Whether faults happen now. */
  turbulent: boolean;
  /** The next statement takes effect, and its acknowledgement is lost. */
  acknowledgement_lost: boolean;
  provider_down_until: number;
  /** What happened, in words; empty unless it was asked for. */
  trace: string[];
  tell(line: string): void;
  violate(what: string): void;
  violation: string | null;
  /** Runs `run` as a step of this life, which a crash before it prevents. */
  act(life: Life, delay: number, label: string, run: () => void): Task;
  hasFault(fault: Fault): boolean;
};

const clockText = (ms: number) => {
  const seconds = (ms / 1_000).toFixed(3).padStart(6, '0');
  return ms < 60_000
    ? `0:${seconds}`
    : `${Math.floor(ms / 60_000)}:${((ms % 60_000) / 1_000).toFixed(3).padStart(6, '0')}`;
};

export function createWorld(
  plan: Plan,
  traced: boolean,
  parts: { ledger(world: World): Ledger; before(world: World, task: Task): void },
): World {
  const dice = createDice(plan.seed);
  const { memory } = createMemoryDatabase();
  const world: World = {
    plan,
    dice,
    random: seededRandom(plan.seed ^ 0x5bd1e995),
    scheduler: createScheduler(
      (ms) => memory.pass(ms),
      (task) => parts.before(world, task),
    ),
    provider: createProvider(plan, dice),
    memory,
    hosts: [],
    get ledger() {
      return ledger;
    },
    locks: new Map(),
    turbulent: false,
    acknowledgement_lost: false,
    provider_down_until: 0,
    trace: [],
    tell(line) {
      if (traced) world.trace.push(`${clockText(world.scheduler.now)} ${line}`);
    },
    violate(what) {
      world.violation ??= what;
      world.tell(`VIOLATION: ${what}`);
    },
    violation: null,
    act: (life, delay, label, run) =>
      world.scheduler.after(delay, label, () => {
        if (life.alive) run();
      }),
    hasFault: (fault) => world.turbulent && plan.faults.has(fault),
  };
  const ledger = parts.ledger(world);
  return world;
}
