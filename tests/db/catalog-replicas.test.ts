import { tmpdir } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import { type OpenDatabase, openDatabase } from '../../src/db/open.ts';
import type { CatalogChange } from '../../src/flows/catalog-api.ts';
import { type FakeUpstream, fakeToolkit, fakeUpstream, tool } from '../flows/fake-toolkit.ts';
import { connection, EVERYTHING, type Gateway, MemoryStores, openGateway } from '../mcp/gateway.ts';
import { createConnected, storesOf } from '../suites/store-fixture.ts';
import { openPostgresqlForTest, recordingLog, testPorts } from '../support/database.ts';
import { deferred } from '../support/ports.ts';

/** Names that only differ in what belongs to the connection: both of their tools want to be called `a__b__x`. */
const UPSTREAMS = { a: 'b__x', a__b: 'x' } as const;
type Name = keyof typeof UPSTREAMS;

let first: Awaited<ReturnType<typeof openPostgresqlForTest>>;
let second: OpenDatabase;
const cleanup: Array<() => Promise<unknown>> = [];

beforeAll(async () => {
  first = await openPostgresqlForTest();
  await migrate(first.opened.db, { migrations, log: recordingLog() });
  second = await openDatabase({ ...testPorts(), dataDir: tmpdir(), databaseUrl: first.databaseUrl });
  const { stores } = storesOf(first.opened);
  for (const name of Object.keys(UPSTREAMS)) await createConnected(stores, { kind: 'mcp', name });
}, 60_000);
afterEach(async () => {
  for (const step of cleanup.splice(0).reverse()) await step();
  await first.opened.db.deleteFrom('tool_names').execute();
});
afterAll(async () => {
  await second.close();
  await first.end();
});

/** Names are kept in the database, all else in the memory of the replica. */
class SharedNames extends MemoryStores {
  readonly #opened: OpenDatabase;
  readonly #gate: () => Promise<void>;

  constructor(opened: OpenDatabase, gate: () => Promise<void>) {
    super();
    this.#opened = opened;
    this.#gate = gate;
  }

  override get stores() {
    const { catalog } = storesOf(this.#opened).stores;
    const shared = {
      names: () => catalog.names(),
      saveNames: async (names: Parameters<typeof catalog.saveNames>[0]) => {
        await this.#gate();
        await catalog.saveNames(names);
      },
    };
    return { ...super.stores, catalog: { ...super.stores.catalog, ...shared } };
  }
}

/** A replica that gets to know the tools of `early` before those of the other connection. */
async function replica(opened: OpenDatabase, early: Name, gate: () => Promise<void>): Promise<Gateway> {
  const upstreams = new Map<string, FakeUpstream>(
    Object.entries(UPSTREAMS).map(([name, called]) => [name, fakeUpstream(tool(called))]),
  );
  for (const [name, upstream] of upstreams) if (name !== early) upstream.fail = new Error('not yet');
  const gateway = await openGateway({
    toolkits: [fakeToolkit('mcp', upstreams)],
    connections: Object.keys(UPSTREAMS).map((name) => connection(name, { endpoint: 'http://x/' })),
    memory: new SharedNames(opened, gate),
  });
  cleanup.push(gateway.close);
  await vi.waitFor(() => expect(gateway.names()).toEqual(['a__b__x']));
  for (const upstream of upstreams.values()) upstream.fail = undefined;
  await vi.waitFor(() => expect(gateway.names()).toHaveLength(2), 10_000);
  return gateway;
}

/** Which connection each name leads to. */
function meaning({ catalog }: Gateway): Record<string, string> {
  const view = catalog.view(EVERYTHING);
  return Object.fromEntries(
    view.tools.map(({ name }) => {
      const found = view.tool(name, {});
      return [name, found.found ? found.key.name : 'nothing'];
    }),
  );
}

describe('two replicas that give the same name at once to different tools', () => {
  it('mean the same by each name as soon as both have stored theirs, and say what changed', async () => {
    const gate = deferred();
    const one = await replica(first.opened, 'a', () => gate.promise);
    const two = await replica(second, 'a__b', () => gate.promise);
    expect(meaning(one).a__b__x).toBe('a');
    expect(meaning(two).a__b__x).toBe('a__b');
    const told: CatalogChange[][] = [];
    for (const { catalog } of [one, two]) catalog.onChange((changes) => told.push([...changes]));
    gate.resolve();
    await vi.waitFor(async () => {
      expect(meaning(one)).toEqual(meaning(two));
      expect(Object.values(meaning(one)).sort()).toEqual(['a', 'a__b']);
      const stored = await storesOf(second).stores.catalog.names();
      expect(
        Object.fromEntries(stored.filter(({ item }) => item === 'tool').map((row) => [row.published_name, row.name])),
      ).toEqual(meaning(one));
    }, 10_000);
    expect(told.flat().some(({ lists }) => lists.has('tools'))).toBe(true);
  }, 60_000);
});

describe('a replica that could not store names', () => {
  it('stores them with the next change', async () => {
    let down = true;
    const gateway = await replica(first.opened, 'a', async () => {
      if (down) throw new Error('the database is away');
    });
    expect(await storesOf(second).stores.catalog.names()).toEqual([]);
    down = false;
    gateway.add(connection('a', { endpoint: 'http://y/' }));
    await vi.waitFor(async () => {
      const stored = await storesOf(second).stores.catalog.names();
      const tools = stored.filter(({ item }) => item === 'tool');
      expect(Object.fromEntries(tools.map((row) => [row.published_name, row.name]))).toEqual(meaning(gateway));
    }, 10_000);
  }, 60_000);
});
