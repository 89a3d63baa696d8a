import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectionBy } from '../e2e/token-endpoint.ts';
import { until } from '../support/platform.ts';
import { testCases } from './chaos-case.ts';
import { CLAIM } from './database-proxy.ts';
import { REPLICAS } from './replica-cases.ts';
import { type Connected, connect, openStage, type Stage } from './stage.ts';
import { dropHeld, ownerOf } from './steps.ts';

const CONNECTIONS = 9;
const ROTATIONS = 4;

describe('three replicas on one database', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await openStage(inject('postgresUrl'), 3);
  });
  afterAll(() => stage?.close());

  it('share the work, and none presents what another has presented', { timeout: 150_000 }, async () => {
    const connected: Connected[] = [];
    for (let index = 0; index < CONNECTIONS; index += 1) connected.push(await connect(stage, `shared-${index}`));
    const rotationsOf = ({ family }: Connected) =>
      stage.endpoint.presentations.filter((one) => one.family === family && one.successor !== null).length;
    await until(() => {
      for (const one of connected) expect(rotationsOf(one)).toBeGreaterThanOrEqual(ROTATIONS);
      for (const { database } of stage.replicas) expect(database.count(CLAIM)).toBeGreaterThan(0);
    }, 90_000);
    const tokens = stage.endpoint.presentations.map(({ token }) => token);
    expect(new Set(tokens).size).toBe(tokens.length);
    for (const { name } of connected) await stage.replicas[0]!.platform.api.deleteConnection(params(name));
  });

  it('take over from one that is gone where the provider does not rotate (rule 15 c)', {
    timeout: 120_000,
  }, async () => {
    const { endpoint, demo, replicas } = stage;
    await demo.identityProvider.restart({ rotation: false });
    const { platform } = replicas[0]!;
    await platform.putConnection('kept', {
      ...connectionBy(endpoint, demo.issuer, demo.upstreamUrl),
      provider: 'google',
    });
    await platform.connect('kept', demo);
    const held = endpoint.holdNextRefresh('reply');
    await until(() => expect(held.arrived()).toBe(true));
    const owner = ownerOf(stage);
    await owner.platform.kill9();
    await dropHeld({ stage }, held);
    const other = replicas.find((replica) => replica !== owner)!.platform;
    await until(async () => {
      const history = await other.history('kept');
      const told = history.findIndex(({ detail }) => detail.ambiguous === true);
      const renewed = history.findLastIndex(({ event_type }) => event_type === 'refresh_succeeded');
      expect(told).toBeGreaterThan(0);
      expect(renewed).toBeGreaterThan(told);
    });
    expect(await other.status('kept')).toMatchObject({ state: 'connected', last_revocation: null });
  });
});

const params = (name: string) => ({ params: { kind: 'mcp', name } });

const TAKEN_OVER = [
  '50-way race on three replicas',
  'replica stopped in mid-flight, the others go on',
  'replica killed for good before the provider processed it',
  'replica killed after escrow, and started again',
  'replica cut off from the database in mid-flight',
];

describe('three replicas, one of them stopped, killed or cut off', () => {
  const cases = REPLICAS.filter(({ name }) => TAKEN_OVER.includes(name));
  testCases(cases, { runs: 1, replicas: 3, postgres: () => inject('postgresUrl') });
});
