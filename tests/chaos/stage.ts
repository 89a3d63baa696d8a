import { randomBytes } from 'node:crypto';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import { connectionBy, startTokenEndpoint, type TokenEndpoint } from '../e2e/token-endpoint.ts';
import { callEcho } from '../e2e/tools.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { TestPlatform, until } from '../support/platform.ts';
import { createDatabase } from '../tools/postgres.mjs';
import { type DatabaseProxy, startDatabaseProxy } from './database-proxy.ts';
import { grantOf } from './ground-truth.ts';

/**
 * The protocol's clocks, shortened in proportion: deadline < listening < lease of a listener < wait for an owner, and a
 * lease longer than any request is held before the provider sees it.
 */
const CLOCKS = {
  refresh_interval: '1s',
  token_deadline: '2s',
  late_listening: '6s',
  send_window: '1s',
  lease: '2s',
  listening_lease: '8s',
  owner_wait: '10s',
  backoff_min: '200ms',
  backoff_max: '1s',
};

/** Seconds. The second is so long that nothing ends for being left alone. */
const LIFETIMES = { accessTtl: 4, refreshIdleTtl: 3_600 };

export type Replica = { platform: TestPlatform; database: DatabaseProxy };

export type Stage = {
  demo: DemoParts;
  endpoint: TokenEndpoint;
  replicas: readonly Replica[];
  close(): Promise<void>;
};

/** Everything real: processes of the product, a database of their own, an identity provider and an MCP server. */
export async function openStage(postgresUrl: string, count = 1): Promise<Stage> {
  const ends: (() => unknown)[] = [];
  const close = async () => {
    for (const end of ends.reverse()) await end();
  };
  try {
    const { url, drop } = await createDatabase(postgresUrl);
    ends.push(drop);
    const demo = await startDemoParts(LIFETIMES);
    ends.push(() => demo.stop());
    const key = randomBytes(32).toString('hex');
    const replicas: Replica[] = [];
    for (let index = 0; index < count; index += 1) {
      const database = await startDatabaseProxy(url);
      ends.push(() => database.close());
      const platform = await TestPlatform.start({
        settings: CLOCKS,
        env: { DATABASE_URL: database.url, ENCRYPTION_KEY: key },
      });
      ends.push(() => platform.remove());
      replicas.push({ platform, database });
    }
    const first = replicas[0]!.platform;
    const endpoint = await startTokenEndpoint(demo.issuer, first.url + CALLBACK_PATH);
    ends.push(() => endpoint.close());
    return { demo, endpoint, replicas, close };
  } catch (error) {
    await close();
    throw error;
  }
}

export type Connected = { name: string; family: number; grantId: string };

/** A connection with a consent of its own, whose tools every replica has listed. */
export async function connect(stage: Stage, name: string): Promise<Connected> {
  const { demo, endpoint, replicas } = stage;
  const { platform } = replicas[0]!;
  const family = endpoint.consents().count;
  await platform.putConnection(name, connectionBy(endpoint, demo.issuer, demo.upstreamUrl));
  await platform.connect(name, demo);
  const grantId = grantOf(demo.stateFile, endpoint.consents().latest);
  for (const replica of replicas) await until(() => expectEcho(replica, name));
  return { name, family, grantId };
}

export async function expectEcho({ platform }: Replica, name: string): Promise<void> {
  const said = await callEcho(platform.mcpUrl, name, 'are you there');
  if (!said?.includes('are you there')) throw new Error(`the tool call answered: ${said}`);
}

/** Those whose process runs. */
export function running(stage: Stage): Replica[] {
  return stage.replicas.filter(({ platform }) => platform.program.exitCode() === undefined);
}

export function anyRunning(stage: Stage): Replica {
  const [first] = running(stage);
  if (first) return first;
  const said = stage.replicas.map(
    ({ platform }) => `${platform.program.exitCode()}: ${platform.output().slice(-2_000)}`,
  );
  throw new Error(`no process runs any more: ${said.join('\n')}`);
}
