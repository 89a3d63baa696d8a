import { createDice, type Dice } from './scheduler.ts';

/** How an authorization server treats refresh tokens, as protocol.md names it; the last two are how it behaves besides. */
export const TASTES = ['static', 'grace', 'strict', 'once', 'firstuse', 'slow', 'lying'] as const;
export type Taste = (typeof TASTES)[number];

export const ROTATIONS = ['static', 'grace', 'strict', 'once', 'firstuse'] as const;
export type Rotation = (typeof ROTATIONS)[number];

export const FAULTS = [
  'crash',
  'gone',
  'stop',
  'lost',
  'outage',
  'flake',
  'lock',
  'disk',
  'skew',
  'stall',
  'provider',
  'refusal',
  'grant',
  'connect',
  'disconnect',
  'delete',
] as const;
export type Fault = (typeof FAULTS)[number];

/** What is asked for: everything else is drawn from the seed. */
export type Wanted = { seed: number; taste?: Taste; faults?: readonly Fault[] };

/** All that one schedule is, but for its draws on the way. */
export type Plan = {
  seed: number;
  taste: Taste;
  faults: ReadonlySet<Fault>;
  rotation: Rotation;
  slow: boolean;
  lying: boolean;
  replicas: number;
  /** One replica on an embedded database: no advisory locks. */
  embedded: boolean;
  connections: number;
  /** Whether the connection says what its provider is like (rules 14, 15c). */
  told: boolean;
  /** Whether each consent is proven by a refresh right after it. */
  canary: boolean;
  access_lifetime: number;
  grace_window: number;
  /** Revoking one token ends every grant of this client, not only its own (protocol.md §4.6). */
  revokes_everything: boolean;
  refresh_interval: number;
  /** How long faults happen. */
  turbulent: number;
  /** At most so many of each sudden fault. */
  budget: Partial<Record<Fault, number>>;
};

const MINUTE = 60_000;
const SUDDEN: readonly Fault[] = ['crash', 'gone', 'stop', 'outage', 'lock', 'disk', 'skew'];

/** Played only where it is asked for: it takes more connections than the others. */
const DRAWN = FAULTS.filter((fault) => fault !== 'refusal');

function chooseFaults(dice: Dice, wanted: readonly Fault[] | undefined): ReadonlySet<Fault> {
  if (wanted) return new Set(wanted);
  // A few kinds at a time, often: two that would hide each other are seen without the other, too.
  const most = dice.pick([1, 2, 3, 4, 6]);
  return new Set(Array.from({ length: most }, () => dice.pick(DRAWN)));
}

export function planOf({ seed, taste: wantedTaste, faults: wantedFaults }: Wanted): Plan {
  const dice = createDice(seed * 2 + 1);
  const taste = wantedTaste ?? dice.pick(TASTES);
  const faults = chooseFaults(dice, wantedFaults);
  const rotation = ROTATIONS.find((one) => one === taste) ?? dice.pick(ROTATIONS);
  const replicas = dice.pick([1, 2, 2, 3]);
  const budget: Plan['budget'] = {};
  for (const fault of SUDDEN) budget[fault] = faults.has(fault) ? dice.pick([1, 2, 4]) : 0;
  budget.gone = faults.has('gone') && replicas > 1 ? 1 : 0;
  return {
    seed,
    taste,
    faults,
    rotation,
    slow: taste === 'slow' || dice.chance(0.1),
    lying: taste === 'lying',
    replicas,
    embedded: replicas === 1 && dice.chance(0.5),
    // Fewer than three cannot be compared with each other, so that a refusal is believed.
    connections: faults.has('refusal') ? dice.pick([3, 4, 5]) : dice.chance(0.2) ? 2 : 1,
    told: dice.chance(0.5),
    canary: dice.chance(0.5),
    access_lifetime: dice.pick([4, 10, 20, 45]) * MINUTE,
    grace_window: dice.pick([3, 10, 30]) * MINUTE,
    revokes_everything: dice.chance(0.15),
    refresh_interval: dice.pick([1, 5, 5]) * MINUTE,
    turbulent: dice.between(8, 45) * MINUTE,
    budget,
  };
}
