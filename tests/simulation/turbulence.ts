import type { Fault } from './plan.ts';
import { loseSession } from './ports.ts';
import { boot, kill } from './replica.ts';
import type { Task } from './scheduler.ts';
import type { Host, World } from './world.ts';

const MINUTE = 60_000;

/** Where a refresh token is between two places: a fault is worth more there than anywhere else. */
const HOT = /readForAttempt|claimIntent|escrow|settle|reply|provider r-|consume|hears of credentials|code/;

function spend(world: World, fault: Fault, probability: number): boolean {
  const left = world.plan.budget[fault] ?? 0;
  if (left <= 0 || !world.hasFault(fault) || !world.dice.chance(probability)) return false;
  world.plan.budget[fault] = left - 1;
  return true;
}

export function restartLater(world: World, host: Host, delay: number): void {
  world.scheduler.after(delay, `${host.name} starts`, () => {
    if (!host.life && !host.gone) boot(world, host);
  });
}

function crash(world: World, host: Host): void {
  world.tell(`${host.name} CRASHES`);
  kill(world, host);
  const { dice } = world;
  restartLater(world, host, dice.pick([dice.between(0, 3_000), dice.between(0, 3_000), dice.between(1, 60) * MINUTE]));
}

/** After a lost connection anything may have changed: the notice is empty. */
function noticeAll(host: Host): void {
  for (const one of host.life?.notices ?? []) one.listener('');
}

export function outage(world: World, hosts: readonly Host[]): void {
  const { dice, scheduler } = world;
  const lasts = dice.pick([dice.between(50, 3_000), dice.between(5_000, 120_000), dice.between(2, 40) * MINUTE]);
  world.acknowledgement_lost = dice.chance(0.5);
  world.tell(`DATABASE AWAY for ${hosts.map(({ name }) => name).join(', ')}, ${Math.round(lasts)} ms`);
  for (const host of hosts) {
    host.cut_off_until = Math.max(host.cut_off_until, scheduler.now + lasts);
    loseSession(world, host.life);
    scheduler.after(lasts, `${host.name} reaches the database again`, () => noticeAll(host));
  }
}

function jump(world: World, host: Host): void {
  const { dice } = world;
  const by = Math.round(dice.pick([dice.between(-20, 20), dice.between(-2, 2)]) * MINUTE);
  host.skew += by;
  world.tell(`${host.name} CLOCK JUMPS by ${by} ms`);
}

/** Before each step of a process: whether one of the sudden faults comes now. */
export function strike(world: World, { label }: Task): void {
  if (!world.turbulent) return;
  const hot = HOT.test(label);
  const name = label.slice(0, label.indexOf(' '));
  const host = world.hosts.find((one) => one.name === name) ?? (hot ? world.dice.pick(world.hosts) : undefined);
  if (!host?.life) return;
  const { dice, scheduler } = world;
  if (spend(world, 'outage', hot ? 0.03 : 0.002)) outage(world, dice.chance(0.5) ? world.hosts : [host]);
  if (spend(world, 'lock', hot ? 0.05 : 0.002)) {
    world.tell(`${host.name} LOSES ITS LOCK SESSION`);
    loseSession(world, host.life);
  }
  if (spend(world, 'disk', hot ? 0.05 : 0.001)) {
    const lasts = dice.pick([2_000, 60_000, 20 * MINUTE]);
    world.tell(`${host.name} DISK FAILS for ${lasts} ms`);
    host.disk_fails_until = scheduler.now + lasts;
  }
  if (spend(world, 'skew', hot ? 0.03 : 0.005)) jump(world, host);
  if (spend(world, 'crash', hot ? 0.03 : 0.002)) crash(world, host);
  else if (spend(world, 'gone', hot ? 0.02 : 0.001)) {
    world.tell(`${host.name} IS GONE for ever, with its disk`);
    kill(world, host);
    host.gone = true;
    host.disk.clear();
  } else if (spend(world, 'stop', hot ? 0.02 : 0.003)) stop(world, host);
}

/** A graceful stop (rule 21), and a start after it. */
function stop(world: World, host: Host): void {
  const { life } = host;
  if (!life?.flows) return;
  world.tell(`${host.name} IS ASKED TO STOP`);
  const ended = () => {
    if (host.life !== life) return;
    world.tell(`${host.name} STOPS`);
    kill(world, host);
    restartLater(world, host, world.dice.between(100, 10_000));
  };
  life.flows.stop().then(ended, ended);
}
