import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Kysely, sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { migrate } from '../../src/db/migrate.ts';
import { migrations } from '../../src/db/migrations/index.ts';
import type { OpenDatabase } from '../../src/db/open.ts';
import { readIdentity } from '../../src/db/replica-identity.ts';
import type { Database } from '../../src/db/schema.ts';
import { checkFile, refuseOtherKey, refuseUnknownSchema } from '../../src/db/transfer/check-file.ts';
import { settleWaitingEscrow } from '../../src/db/transfer/escrow-files.ts';
import { exportDatabase } from '../../src/db/transfer/export-database.ts';
import { importDatabase } from '../../src/db/transfer/import-database.ts';
import { insertRows } from '../../src/db/transfer/insert-rows.ts';
import { hasCredentials, KNOWN_TABLES, MOVED_TABLES, readShape, SEQUENCE_NAMES } from '../../src/db/transfer/tables.ts';
import { valueFault } from '../../src/db/transfer/values.ts';
import { create, KEY, pendingConsent, storesOf, testBox } from '../suites/store-fixture.ts';
import { openEmbeddedForTest, openPostgresqlForTest, recordingLog, temporaryDirectory } from '../support/database.ts';

const REPLICA = '0f0e0d0c-0b0a-4908-8706-050403020100';
const NAMES = Object.keys(migrations);
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function folder(): string {
  const directory = temporaryDirectory();
  ends.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function embedded(): Promise<OpenDatabase> {
  const { opened, end } = await openEmbeddedForTest();
  ends.push(end);
  return opened;
}

async function postgresql(): Promise<OpenDatabase> {
  const { opened, end } = await openPostgresqlForTest();
  ends.push(end);
  return opened;
}

async function migrated(opened: OpenDatabase): Promise<OpenDatabase> {
  await migrate(opened.db, { migrations, log: recordingLog() });
  return opened;
}

/** A connection with tokens, an open attempt, a consent under way, a history and values that are hard to write down. */
async function furnish(opened: OpenDatabase): Promise<void> {
  const { stores } = storesOf(opened);
  const { incarnation } = await create(stores);
  await stores.consents.create('state-1', pendingConsent(incarnation));
  const boot = await stores.replicas.boot(REPLICA);
  const sealed = Buffer.from(
    testBox().seal(pendingConsent(incarnation).code_verifier, { ...KEY, column: 'access_token' }),
  );
  const { db } = opened;
  await sql`update connection_credentials set state = 'connected', access_token = ${sealed}, refresh_token = ${sealed},
    token_type = 'Bearer', binding = cast('{"n": 12345678901234567890.123456789, "t": "a\u2028b \\u0041 é 😀"}' as jsonb),
    received_at = '2026-11-24 00:00:00.123456+00', expires_at = 'infinity', generation = nextval('credential_generation_seq'),
    next_refresh_at = '0044-03-15 12:00:00+00 BC', intent_attempt_id = 'a', intent_replica_id = ${REPLICA},
    intent_boot_id = ${boot}, intent_at = clock_timestamp()`.execute(db);
  await sql`insert into connection_auth_events (id, occurred_at, connection_kind, connection_name, event_type, actor, detail)
    select gen_random_uuid(), '2026-11-24 00:00:00.000001+00'::timestamptz + i * interval '1 microsecond', 'mcp', 'gone',
      'refresh_succeeded', ${'O\'Brien \\ "\u2029\r\n\t '} || i, jsonb_build_object('i', i) from generate_series(1, 1201) i`.execute(
    db,
  );
  await sql`insert into token_revocations (id, kind, name, actor, binding, origin_of_trust, refresh_token, created_at, next_at)
    values ('r', 'mcp', 'gone', 'ada', '{}', 'https://idp.example', ${sealed}, clock_timestamp(), clock_timestamp())`.execute(
    db,
  );
  await sql`insert into sessions values ('hash', 'ada', clock_timestamp())`.execute(db);
}

async function write(opened: OpenDatabase, dataDir: string, more: { file?: string; overwrite?: boolean } = {}) {
  const { db, engine } = opened;
  const file = more.file ?? join(dataDir, 'export.jsonl');
  const ports = { clock: systemClock, random: systemRandom };
  const overwrite = more.overwrite ?? false;
  await exportDatabase({ db, engine, dataDir, replica_id: REPLICA, file, overwrite, version: '1.2.3', ...ports });
  return file;
}

async function read(opened: OpenDatabase, file: string, dataDir = folder()): Promise<void> {
  const checked = await checkFile(file);
  await importDatabase({ db: opened.db, checked, dataDir, migrations, log: recordingLog(), random: systemRandom });
}

/** Everything that is moved, as text. */
async function contents(db: Kysely<Database>): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const table of MOVED_TABLES) {
    const { rows } = await db.transaction().execute(async (transaction) => {
      await sql`select set_config('timezone', 'UTC', true)`.execute(transaction);
      return sql<{ text: string }>`select cast(t as text) as text from ${sql.id(table)} t`.execute(transaction);
    });
    found[table] = rows.map(({ text }) => text).sort();
  }
  return found;
}

async function lastOf(db: Kysely<Database>, name: string): Promise<bigint> {
  const { rows } = await sql<{ last: bigint }>`select nextval(${name}) as last`.execute(db);
  return rows[0]?.last ?? 0n;
}

const linesOf = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');

/** A file with other lines, and the checksum that belongs to them. */
function rewrite(file: string, change: (lines: string[]) => string[]): string {
  const body = change(linesOf(file).slice(0, -1));
  const text = `${body.join('\n')}\n`;
  const sha256 = createHash('sha256').update(text).digest('hex');
  const changed = `${file}.changed`;
  writeFileSync(changed, `${text}${JSON.stringify({ end: true, lines: body.length, sha256 })}\n`);
  return changed;
}

describe('an export', () => {
  it('is imported by the other engine and back again without a difference', async () => {
    const first = await migrated(await embedded());
    await furnish(first);
    const original = await contents(first.db);
    const directory = folder();
    const file = await write(first, directory);
    const second = await postgresql();
    await read(second, file);
    expect(await contents(second.db)).toEqual(original);
    const again = await write(second, directory, { file: join(directory, 'second.jsonl') });
    const third = await embedded();
    await read(third, again);
    expect(await contents(third.db)).toEqual(original);
    expect((original.connection_auth_events ?? []).length).toBe(1201);
    expect((await sql`select from sessions`.execute(third.db)).rows).toEqual([]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  // What the migrator writes about itself is written by the migrations that an import runs.
  it('forgets no table, column or sequence that a migration has made', async () => {
    const { db } = await migrated(await embedded());
    const tables = await sql<{ name: string }>`select relname as name from pg_class
      where relkind = 'r' and relnamespace = 'public'::regnamespace and relname not like 'kysely%' and relname <> 'schema_version' order by 1`.execute(
      db,
    );
    expect(tables.rows.map(({ name }) => name)).toEqual([...KNOWN_TABLES].sort());
    const sequences = await sql<{ name: string }>`select relname as name from pg_class
      where relkind = 'S' and relnamespace = 'public'::regnamespace order by 1`.execute(db);
    expect(sequences.rows.map(({ name }) => name)).toEqual([...SEQUENCE_NAMES].sort());
    for (const table of MOVED_TABLES) {
      const { rows } = await sql<{ name: string }>`select column_name as name from information_schema.columns
        where table_schema = 'public' and table_name = ${table}`.execute(db);
      const shape = await readShape(db, table);
      expect(shape?.columns.map(({ name }) => name).sort()).toEqual(rows.map(({ name }) => name).sort());
    }
  });

  it('whose import was killed before its escrow appeared keeps the escrow at the next start, if its rows are there', async () => {
    const imported = await migrated(await postgresql());
    const empty = await migrated(await postgresql());
    await furnish(imported);
    for (const [opened, left] of [
      [imported, ['a.escrow']],
      [empty, []],
    ] as const) {
      const dataDir = folder();
      mkdirSync(join(dataDir, 'escrow'));
      writeFileSync(join(dataDir, 'escrow', 'a.escrow.import'), '{}');
      await settleWaitingEscrow(dataDir, () => hasCredentials(opened.db));
      expect(readdirSync(join(dataDir, 'escrow'))).toEqual(left);
    }
  });

  it('never lets a sequence step back to a number that the original may have drawn', async () => {
    const first = await migrated(await postgresql());
    await furnish(first);
    const before = new Map<string, bigint>();
    for (const name of SEQUENCE_NAMES) before.set(name, await lastOf(first.db, name));
    const file = await write(first, folder());
    // What a file says of its sequences is not believed where its rows say more.
    const modest = rewrite(file, (lines) =>
      lines.map((line) => (line.startsWith('{"sequences"') ? '{"sequences":{}}' : line)),
    );
    for (const [source, slack] of [
      [file, 0n],
      [modest, 2n],
    ] as const) {
      const target = await postgresql();
      await read(target, source);
      for (const name of SEQUENCE_NAMES) {
        expect(await lastOf(target.db, name)).toBeGreaterThan((before.get(name) ?? 0n) - slack);
      }
      expect(await lastOf(target.db, 'credential_generation_seq')).toBeGreaterThan(1_000_000_000n);
    }
  });

  it('brings the escrow along, and who may resolve what it stands for', async () => {
    const first = await migrated(await postgresql());
    await furnish(first);
    const from = folder();
    mkdirSync(join(from, 'escrow'));
    writeFileSync(join(from, 'escrow', 'a.escrow'), '{"format":1,"box":"AQ=="}');
    writeFileSync(join(from, 'escrow', 'b.escrow-new'), '{"half');
    const file = await write(first, from);
    const to = folder();
    await read(await postgresql(), file, to);
    expect(readdirSync(join(to, 'escrow'))).toEqual(['a.escrow']);
    expect(readFileSync(join(to, 'escrow', 'a.escrow'), 'utf8')).toBe('{"format":1,"box":"AQ=="}');
    expect(await readIdentity(to)).toBe(REPLICA);
  });

  it('is not mixed with replies that came after it', async () => {
    const first = await migrated(await postgresql());
    const dataDir = folder();
    const file = await write(first, dataDir);
    mkdirSync(join(dataDir, 'escrow'));
    writeFileSync(join(dataDir, 'escrow', 'later.escrow'), '{}');
    const target = await postgresql();
    await expect(read(target, file, dataDir)).rejects.toThrow(/came after the export/);
    expect(readFileSync(join(dataDir, 'escrow', 'later.escrow'), 'utf8')).toBe('{}');
  });

  it('replaces no file unasked, and leaves nothing half-written behind', async () => {
    const first = await migrated(await postgresql());
    const directory = folder();
    const file = join(directory, 'kept');
    writeFileSync(file, 'precious');
    await expect(write(first, directory, { file })).rejects.toThrow(/--force/);
    expect(readFileSync(file, 'utf8')).toBe('precious');
    await write(first, directory, { file, overwrite: true });
    expect(linesOf(file)[0]).toContain('mcp-data-platform export');
    await expect(write(first, directory, { file: join(directory, 'none', 'x') })).rejects.toThrow(/ENOENT/);
    await expect(write(await postgresql(), directory, { file: join(directory, 'empty') })).rejects.toThrow(
      /nothing to export/,
    );
    expect(readdirSync(directory)).toEqual(['kept']);
  });
});

describe('an import', () => {
  it('goes into an empty database only', async () => {
    const first = await migrated(await postgresql());
    await furnish(first);
    const file = await write(first, folder());
    const before = await contents(first.db);
    await expect(read(first, file)).rejects.toThrow(/not empty \(connections/);
    expect(await contents(first.db)).toEqual(before);
  });

  it('takes a file of an older schema and brings it up', async () => {
    const first = await postgresql();
    await migrate(first.db, { migrations, log: recordingLog(), target: '000040_connection_auth_events' });
    await storesOf(first).stores.replicas.boot(REPLICA);
    const file = await write(first, folder());
    const target = await migrated(await postgresql());
    await read(target, file);
    expect((await sql`select from token_revocations`.execute(target.db)).rows).toEqual([]);
    expect((await sql`select from replicas`.execute(target.db)).rows).toHaveLength(1);
  });

  it('refuses another key and an unknown migration before it writes', async () => {
    const first = await migrated(await postgresql());
    await furnish(first);
    const file = await write(first, folder());
    const checked = await checkFile(file);
    const { sealing_key_id } = testBox();
    expect(checked.header.key_ids).toEqual([sealing_key_id]);
    expect(() => refuseOtherKey(checked, [sealing_key_id], '')).not.toThrow();
    expect(() => refuseOtherKey(checked, ['0'.repeat(16)], 'Set it.')).toThrow(/another key .*0000.*Set it\./s);
    expect(() => refuseUnknownSchema(checked, NAMES)).not.toThrow();
    expect(() => refuseUnknownSchema(checked, NAMES.slice(0, -1))).toThrow(/version 1\.2\.3/);
  });

  it('refuses a file that was cut anywhere, or changed in a byte', async () => {
    const first = await migrated(await postgresql());
    await storesOf(first).stores.replicas.boot(REPLICA);
    const file = await write(first, folder());
    const whole = readFileSync(file);
    const damaged = `${file}.damaged`;
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.boolean(), async (at, cut) => {
        const other = Buffer.from(whole);
        if (!cut) other[at] = (other[at] ?? 0) ^ 1;
        writeFileSync(damaged, cut ? whole.subarray(0, at) : other);
        await expect(checkFile(damaged)).rejects.toThrow(/damaged/);
      }),
      { numRuns: 60 },
    );
    writeFileSync(damaged, Buffer.concat([whole, Buffer.from('{}\n')]));
    await expect(checkFile(damaged)).rejects.toThrow(/after the end/);
    await expect(checkFile(`${file}.none`)).rejects.toThrow(/ENOENT/);
  });

  it('names the line and the field of what cannot be right, and then holds no row', async () => {
    const first = await migrated(await postgresql());
    await furnish(first);
    const file = await write(first, folder());
    const withRow = (change: (table: string, row: (string | null)[]) => void) =>
      rewrite(file, (lines) =>
        lines.map((line) => {
          const parsed = JSON.parse(line) as { table?: string; row?: (string | null)[] };
          if (parsed.table === undefined || parsed.row === undefined) return line;
          change(parsed.table, parsed.row);
          return JSON.stringify(parsed);
        }),
      );
    const target = await postgresql();
    const cases: [(table: string, row: (string | null)[]) => void, RegExp][] = [
      [
        (table, row) => table === 'connections' && row.splice(2, 1, 'no'),
        /line 2 field connections\.incarnation must be a uuid/,
      ],
      [(table, row) => table === 'connections' && row.splice(1, 1, 'a\0b'), /line 2 field connections\.name holds/],
      [(table, row) => table === 'connections' && row.splice(1, 1, '\ud800'), /line 2 field connections\.name holds/],
      [(table, row) => table === 'connections' && row.pop(), /line 2 has \d+ values/],
      [
        (table, row) => table === 'connections' && row.splice(8, 1, '2026-13-45 00:00:00+00'),
        /line 2 field connections\.created_at is not/,
      ],
      [(table, row) => table === 'connections' && row.splice(3, 1, 'elsewhere'), /line 2 .*connections_source_check/],
      [(table, row) => table === 'connections' && row.splice(4, 1, null), /line 2 .*connections\.description/],
      [
        (table, row) => table === 'connection_auth_events' && row[7]?.includes('600') && row.splice(4, 1, 'x'),
        /line \d+ .*connection_auth_events_event_type_check/,
      ],
    ];
    for (const [change, sentence] of cases) await expect(read(target, withRow(change))).rejects.toThrow(sentence);
    for (const table of MOVED_TABLES) {
      if ((await readShape(target.db, table)) === undefined) continue;
      expect((await sql`select from ${sql.id(table)}`.execute(target.db)).rows).toEqual([]);
    }
    const strange = rewrite(file, ([head = '', ...rest]) => [head.replace('"connections"', '"pg_class"'), ...rest]);
    await expect(read(target, strange)).rejects.toThrow(/line 2 is of the table "connections"/);
    const injected = rewrite(file, ([head = '', ...rest]) => [
      head.replace('"type":"uuid"', '"type":"text); drop table x"'),
      ...rest,
    ]);
    await expect(read(target, injected)).rejects.toThrow(/line 1 field connections\.incarnation is text\)/);
    await read(target, file);
  });

  it('refuses what is no export at all', async () => {
    const file = join(folder(), 'file');
    for (const text of [
      '',
      '\n',
      'PK\u0003\u0004\n',
      '[]\n',
      '{"format":"mcp-data-platform export","format_version":2,"product_version":"9"}\n',
    ]) {
      writeFileSync(file, text);
      await expect(checkFile(file)).rejects.toThrow(/empty|not a file that|newer version/);
    }
    writeFileSync(file, Buffer.from([0xff, 0xfe, 0x0a]));
    await expect(checkFile(file)).rejects.toThrow(/UTF-8/);
    expect(existsSync(file)).toBe(true);
  });
});

describe.each([
  { engine: 'embedded', open: embedded },
  { engine: 'postgresql', open: postgresql },
])('values ($engine)', ({ open }) => {
  it('are read as they were written, whatever they are', async () => {
    const { db } = await open();
    await sql`create table odd (t text, n bigint, b bytea, j jsonb, at timestamptz, o boolean, i integer)`.execute(db);
    const shape = await readShape(db, 'odd');
    const columns = shape?.columns ?? [];
    const text = fc.string({ unit: 'binary' }).filter((value) => valueFault('text', value) === undefined);
    const int8 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    const bytes = fc.uint8Array().map((value) => `\\x${Buffer.from(value).toString('hex')}`);
    const json = text.map((value) => JSON.stringify({ value, n: 1e21 }));
    const micro = fc.nat(999_999).map((value) => `2026-11-24 01:02:03.${String(value).padStart(6, '0')}+00`);
    const int4 = fc.integer().map(String);
    const row = fc.tuple(
      ...[text, int8, bytes, json, micro, fc.boolean().map(String), int4].map((value) =>
        fc.option(value, { nil: null }),
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 20 }), async (rows) => {
        await sql`truncate odd`.execute(db);
        for (const values of rows) {
          for (const [index, { type }] of columns.entries()) expect(valueFault(type, values[index])).toBeUndefined();
        }
        const pending = rows.map((values, line) => ({ line, values }));
        await db
          .transaction()
          .execute((transaction) => insertRows(transaction, { file: 'f', table: 'odd', columns, rows: pending }));
        const found = await sql<Record<string, unknown>>`select t, n, b, j::text as j, at, o, i,
          extract(microseconds from at)::int8 as us from odd`.execute(db);
        expect(found.rows.map(({ t, n, b, o, i }) => [t, n, b && `\\x${(b as Buffer).toString('hex')}`, o, i])).toEqual(
          rows.map(([t, n, b, , , o, i]) => [
            t,
            n === null ? null : BigInt(String(n)),
            b,
            o === null ? null : o === 'true',
            i === null ? null : Number(i),
          ]),
        );
        expect(found.rows.map(({ us }) => us)).toEqual(
          rows.map(([, , , , at]) => (at ? 3_000_000n + BigInt(String(at).slice(20, 26)) : null)),
        );
        expect(found.rows.map(({ j }) => (j === null ? null : JSON.parse(String(j))))).toEqual(
          rows.map(([, , , j]) => (j ? JSON.parse(String(j)) : null)),
        );
      }),
      { numRuns: 40 },
    );
  });
});
