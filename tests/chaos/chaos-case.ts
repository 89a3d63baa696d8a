import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../support/platform.ts';
import { anyRunning, type Connected, connect, openStage, type Replica, type Stage } from './stage.ts';
import { judge, type Outcome } from './verdict.ts';

export type Run = {
  stage: Stage;
  connected: Connected;
  /** The replica that the case is about, where there is but one. */
  replica: Replica;
  /** Says that the provider's last reply reached a process that ended before it had written anything. */
  neverEscrowed(): void;
  endedAtProvider(): void;
};

export type ChaosCase = {
  name: string;
  /** Brings the fault about, and takes it away again: every replica that shall run afterwards runs. */
  act(run: Run): Promise<void>;
  /** What can come of it; `announced` only where no reply can have reached the escrow. */
  ends: readonly Outcome['end'][];
  /** Presentations beyond one per token that the case permits. */
  repeats: number;
};

/** Whatever an earlier case left behind. */
async function clear({ replicas, endpoint }: Stage): Promise<void> {
  endpoint.mishaps(undefined);
  for (const { database } of replicas) database.restore();
  for (const { platform } of replicas) if (platform.program.exitCode() !== undefined) await platform.restart();
}

export async function runCase(stage: Stage, chaosCase: ChaosCase): Promise<Outcome> {
  await clear(stage);
  const connected = await connect(stage, `c${randomBytes(4).toString('hex')}`);
  let neverEscrowed = false;
  let endedAtProvider = false;
  await chaosCase.act({
    stage,
    connected,
    replica: stage.replicas[0]!,
    neverEscrowed: () => {
      neverEscrowed = true;
    },
    endedAtProvider: () => {
      endedAtProvider = true;
    },
  });
  const outcome = await judge(stage, connected, { calmAt: Date.now(), neverEscrowed, endedAtProvider });
  if (!chaosCase.ends.includes(outcome.end)) outcome.violations.push(`ended as ${outcome.end} (${outcome.how})`);
  if (outcome.repeats > chaosCase.repeats) outcome.violations.push(`${outcome.repeats} repeats`);
  for (const { platform } of stage.replicas) {
    const code = platform.program.exitCode();
    // 0: stopped by the case; a signal: killed by it.
    if (typeof code === 'number' && code !== 0) outcome.violations.push(`a process ended by itself, with ${code}`);
  }
  const params = { kind: 'mcp', name: connected.name };
  await until(() => anyRunning(stage).platform.api.deleteConnection({ params }));
  return outcome;
}

const { CHAOS_REPORT, CHAOS_RUNS } = process.env;

/** Registers a test for each case, on one stage, one after the other. */
export function testCases(
  cases: readonly ChaosCase[],
  options: { replicas?: number; runs?: number; postgres: () => string },
): void {
  let stage: Stage;
  const runs = options.runs ?? Number(CHAOS_RUNS ?? 3);
  beforeAll(async () => {
    stage = await openStage(options.postgres(), options.replicas);
  });
  afterAll(() => stage?.close());

  for (const chaosCase of cases) it(chaosCase.name, { timeout: runs * 120_000 }, () => repeat(chaosCase));

  async function repeat(chaosCase: ChaosCase): Promise<void> {
    const outcomes: Outcome[] = [];
    for (let run = 0; run < runs; run += 1) {
      const outcome = await runCase(stage, chaosCase);
      outcomes.push(outcome);
      const line = JSON.stringify({ case: chaosCase.name, ...outcome });
      if (CHAOS_REPORT) appendFileSync(CHAOS_REPORT, `${line}\n`);
    }
    expect(outcomes.flatMap(({ violations }) => violations)).toEqual([]);
  }
}
