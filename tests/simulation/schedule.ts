import { type ConnectionKey, connectionLabel } from '../../src/core/connection.ts';
import { createActors } from './actors.ts';
import { createLedger, type Exception } from './ledger.ts';
import { type Plan, planOf, type Wanted } from './plan.ts';
import type { Grant } from './provider.ts';
import { boot, kill } from './replica.ts';
import { strike } from './turbulence.ts';
import { createWorld, KEYS, type World } from './world.ts';

const SECOND = 1_000;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** How long a connection may take to become healthy once nothing disturbs it any more, and how long it must stay so. */
const QUIET_MS = 8 * HOUR;
const STABLE_MS = 15 * MINUTE;
const LOOK_MS = 10 * MINUTE;
/** A schedule of faults takes some thousand steps; one that takes so many runs in circles. */
const MAX_STEPS = 60_000;

export type Outcome = {
  plan: Plan;
  violation: string | null;
  steps: number;
  presentations: number;
  exceptions: Partial<Record<Exception, number>>;
  /** Grants that ended for their users, with everything as it should be. */
  healthy: number;
  trace: string[];
};

/** Why a grant that was ours has no token left at us, as far as protocol.md §4 excuses it. */
function excuse(world: World, grant: Grant): Exception | undefined {
  const sacrifice = world.ledger.sacrificed.get(grant);
  if (sacrifice) return sacrifice;
  if (grant.ended === 'revoked with another') return 'ended with another grant';
  // The newest tokens are the ones that counted; those that never came to us cannot be blamed on us.
  const newest = grant.issued.at(-1);
  if (!newest) return undefined;
  const row = world.ledger.refreshOf(world.ledger.rowOf(grant));
  const unknown = grant.issued.filter(({ fate, refresh }) => fate !== 'escrowed' && refresh !== row);
  const fate = unknown.at(-1)?.fate ?? newest.fate;
  if (fate === 'garbled') return 'reply unreadable';
  if (fate === 'under way' || fate === 'never arrived') {
    return world.plan.rotation === 'grace' && grant.ended === 'reuse' ? 'grace window passed' : 'reply never arrived';
  }
  if (fate === 'received') return 'died before the escrow';
  return world.hosts.some(({ gone }) => gone) ? 'only copy destroyed' : undefined;
}

type Judged = { wrong: string } | { excuse: Exception } | { fine: true };

/** I1 and I5 at rest: what is true of a connection after the quiet hours. */
function judge(world: World, key: ConnectionKey): Judged[] {
  const { ledger, provider, scheduler, memory } = world;
  const label = connectionLabel(key);
  const row = memory.tables.credentials.get(label);
  if (!row) return [];
  const { credential } = row;
  const token = ledger.refreshOf(row);
  const judged: Judged[] = [];
  for (const grant of provider.grants) {
    const consent = ledger.consentOf(grant);
    if (consent?.label !== label || !ledger.owed(grant)) continue;
    const live = grant.issued.find(
      ({ refresh }) => provider.honours(refresh, scheduler.now) && ledger.holders(refresh).length > 0,
    );
    const applied = credential.consent_seq === consent.consent_seq;
    if (live && !applied)
      judged.push({ wrong: `I1: ${live.refresh} reached us and its consent never landed in ${label}` });
    if (!applied) continue;
    if (live && token !== live.refresh && !(token && provider.honours(token, scheduler.now))) {
      judged.push({
        wrong: `I1: ${label} ${credential.state} does not hold ${live.refresh}, which reached us and is honoured`,
      });
    } else if (live) {
      const { state, failure, intent, ambiguous } = credential;
      const well = state === 'connected' && !failure && !intent && !ambiguous;
      if (!well) {
        const what = `${failure ? `failing (${failure.error_class})` : ''}${intent ? ' with an open intent' : ''}${ambiguous ? ' ambiguous' : ''}`;
        judged.push({ wrong: `I5: ${label} is ${state} ${what} although its grant lives` });
      } else judged.push({ fine: true });
    } else if (grant.ended === 'user') {
      if (credential.state === 'connected')
        judged.push({ wrong: `I4: ${label} shows a grant that its user has ended` });
    } else judged.push(lost(world, key, grant));
  }
  return judged;
}

/** A loss must be one of those that cannot be prevented, and the history must say it aloud. */
function lost(world: World, key: ConnectionKey, grant: Grant): Judged {
  const label = connectionLabel(key);
  const credential = world.memory.tables.credentials.get(label)?.credential;
  const why = excuse(world, grant);
  if (!why) return { wrong: `I1: the grant ${grant.id} of ${label} is lost, and nothing excuses it` };
  const { state, revocation } = credential ?? {};
  if (state !== 'revoked')
    return { wrong: `I4: ${label} is ${state}, its grant ${grant.id} is lost (${why}), and no event says so` };
  // A server that says «error» and means «done» hides that anything was ambiguous; and the loss that is announced may
  // have been lifted by a recovered token, which the server then refuses, too.
  const elsewhere: Exception[] = ['owner gone', 'ended with another grant', 'too few to compare'];
  const announced = world.plan.lying || elsewhere.includes(why) || world.ledger.announced(label);
  if (!announced) return { wrong: `I4: ${label} is lost (${why}), and its history says ${revocation?.reason}` };
  return { excuse: why };
}

async function until(world: World, end: number, done: () => boolean = () => false): Promise<void> {
  const { scheduler, ledger } = world;
  let stop = false;
  scheduler.after(end - scheduler.now, 'the time is over', () => {
    stop = true;
  });
  while (!stop && !done() && world.violation === null) {
    if (scheduler.steps > MAX_STEPS) world.violate(`more than ${MAX_STEPS} steps: something runs in circles`);
    if (!(await scheduler.step())) world.violate('nothing is left to run');
    ledger.observe();
  }
}

function calm(world: World): void {
  world.tell('FROM HERE ON NOTHING GOES WRONG');
  world.turbulent = false;
  world.provider_down_until = 0;
  world.acknowledgement_lost = false;
  world.provider.becomeHonest();
  for (const host of world.hosts) {
    host.cut_off_until = 0;
    host.disk_fails_until = 0;
    if (!host.life && !host.gone) boot(world, host);
  }
}

/** Plays one schedule: everything in it follows from what is wanted. */
export async function play(wanted: Wanted, traced = false): Promise<Outcome> {
  const plan = planOf(wanted);
  const world = createWorld(plan, traced, { ledger: createLedger, before: strike });
  const { scheduler, dice, hosts } = world;
  for (let index = 0; index < plan.replicas; index += 1) {
    const name = `replica-${'abc'[index]}`;
    const skew = plan.faults.has('skew') ? Math.round(dice.between(-5 * SECOND, 5 * SECOND)) : 0;
    const host = { name, disk: new Map(), disk_fails_until: 0, cut_off_until: 0, skew, life: null, gone: false };
    hosts.push(host);
    boot(world, host);
  }
  const actors = createActors(world);
  const keys = KEYS.slice(0, plan.connections);
  let ready = false;
  void Promise.all(keys.map((key) => actors.create(key).then(() => actors.connect(key)))).then(() => {
    ready = true;
  });
  await until(world, 10 * MINUTE, () => ready);
  world.turbulent = true;
  actors.plan();
  await until(world, scheduler.now + plan.turbulent);
  calm(world);
  await settleDown(
    world,
    () => keys.flatMap((key) => judge(world, key)),
    () => keys.forEach((key) => void actors.call(key)),
  );
  const judged = world.violation === null ? keys.flatMap((key) => judge(world, key)) : [];
  for (const one of judged) if ('wrong' in one) world.violate(one.wrong);
  for (const host of hosts) kill(world, host);
  const exceptions: Outcome['exceptions'] = {};
  for (const one of judged) if ('excuse' in one) exceptions[one.excuse] = (exceptions[one.excuse] ?? 0) + 1;
  return {
    plan,
    violation: world.violation,
    steps: scheduler.steps,
    presentations: world.ledger.presentations.length,
    exceptions,
    healthy: judged.filter((one) => 'fine' in one).length,
    trace: world.trace,
  };
}

/** Quiet hours: agents call now and then, and once all is well it must stay so. */
async function settleDown(world: World, judged: () => Judged[], call: () => void): Promise<void> {
  const { scheduler } = world;
  const end = scheduler.now + QUIET_MS;
  let wellSince: number | null = null;
  while (scheduler.now < end && world.violation === null) {
    call();
    await until(world, scheduler.now + LOOK_MS);
    const well = !judged().some((one) => 'wrong' in one);
    wellSince = well ? (wellSince ?? scheduler.now) : null;
    if (wellSince !== null && scheduler.now - wellSince >= STABLE_MS + world.plan.access_lifetime) return;
  }
}

/** So many at once: each waits for a turn of the event loop after each step, which another can use. */
const AT_ONCE = 8;

/** Plays `seeds` schedules; each is its own world, so that none hangs on the others. */
export async function playAll(
  wanted: Omit<Wanted, 'seed'>,
  first: number,
  seeds: number,
  each: (outcome: Outcome) => void,
): Promise<void> {
  const { stackTraceLimit } = Error;
  // Every aborted pause makes a DOMException, and its stack costs more than the step.
  Error.stackTraceLimit = 0;
  let next = first;
  const worker = async () => {
    while (next < first + seeds) {
      const seed = next;
      next += 1;
      each(await play({ ...wanted, seed }));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
