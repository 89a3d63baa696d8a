import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { AGENT_KEY, TestPlatform, until } from '../support/platform.ts';
import { createDatabase } from '../tools/postgres.mjs';
import { connectionBy, startTokenEndpoint, type TokenEndpoint } from './token-endpoint.ts';
import { callEcho } from './tools.ts';

const NAME = 'everything';

let demo: DemoParts;
beforeAll(async () => {
  demo = await startDemoParts({ accessTtl: 4, refreshIdleTtl: 30 });
});
afterAll(() => demo?.stop());

/** A life with everything that touches tokens: consent, refreshes, calls, failures, a restart, a revocation. */
async function liveThrough(platform: TestPlatform, endpoint: TokenEndpoint): Promise<void> {
  const params = { kind: 'mcp', name: NAME };
  await platform.putConnection(NAME, connectionBy(endpoint, demo.issuer, demo.upstreamUrl));
  await platform.connect(NAME, demo);
  await until(async () => expect(await callEcho(platform.mcpUrl, NAME, 'hello')).toContain('hello'));
  await platform.api.reacquireOAuth({ params });
  await platform.api.testConnection({ params });
  await demo.identityProvider.kill();
  await platform.api.reacquireOAuth({ params }).catch(() => undefined);
  await until(async () => expect(await platform.history(NAME, 'refresh_failed_transient')).not.toEqual([]));
  await demo.identityProvider.restart();
  await platform.restart();
  await until(async () => expect((await platform.history(NAME, 'refresh_succeeded')).length).toBeGreaterThan(1));
  await platform.api.getConnection({ params });
  await platform.api.listConnections();
  await platform.api.getOAuthHealth();
  await endpoint.revoke();
  await platform.api.reacquireOAuth({ params }).catch(() => undefined);
  await until(async () => expect(await platform.status(NAME)).toMatchObject({ state: 'revoked' }));
  const known = await callEcho(platform.mcpUrl, NAME, 'too late').catch((error: unknown) => JSON.stringify(error));
  platform.apiReplies.push(known ?? '');
  await platform.history(NAME);
}

function expectNone(where: string, text: string | Buffer, secrets: Iterable<string>): void {
  const found = [...secrets].filter((secret) => secret.length > 8 && text.includes(secret));
  expect(found, where).toEqual([]);
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

async function everyRow(databaseUrl: string): Promise<{ tables: number; text: string }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      "select quote_ident(tablename) as name from pg_tables where schemaname = 'public'",
    );
    let text = '';
    for (const { name } of rows) {
      const content = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      text += content.rows.map(({ row }) => row).join('\n');
    }
    // The text of a bytea column is hexadecimal: what it holds in plain would hide there.
    const binary = [...text.matchAll(/\\x([0-9a-f]{2,})/g)].map(([, hex = '']) =>
      Buffer.from(hex, 'hex').toString('latin1'),
    );
    expect(binary.length).toBeGreaterThan(0);
    text += binary.join('\n');
    return { tables: rows.length, text };
  } finally {
    await client.end();
  }
}

describe('no token, code, verifier or client secret that was ever on the wire', () => {
  it('is in the output, the log, an answer of the API or a file of the data directory', async () => {
    const platform = await TestPlatform.start({ settings: { log_level: 'debug' } });
    const endpoint = await startTokenEndpoint(demo.issuer, platform.url + CALLBACK_PATH);
    try {
      await liveThrough(platform, endpoint);
      await platform.stop();
      expect(endpoint.secrets.size).toBeGreaterThan(8);
      const secrets = [...endpoint.secrets, AGENT_KEY];
      expectNone('output', platform.output(), secrets);
      expectNone('API', platform.apiReplies.join('\n'), secrets);
      const files = filesBelow(platform.home.dataDir);
      expect(files.length).toBeGreaterThan(100);
      for (const file of files) expectNone(file, readFileSync(file), secrets);
    } finally {
      await platform.remove();
      await endpoint.close();
    }
  });

  it('is in any row of the database', async () => {
    const { url, drop } = await createDatabase(inject('postgresUrl'));
    const encryptionKey = randomBytes(32).toString('hex');
    const env = { DATABASE_URL: url, ENCRYPTION_KEY: encryptionKey };
    const platform = await TestPlatform.start({ env, settings: { log_level: 'debug' } });
    const endpoint = await startTokenEndpoint(demo.issuer, platform.url + CALLBACK_PATH);
    try {
      await platform.putConnection(NAME, connectionBy(endpoint, demo.issuer, demo.upstreamUrl));
      await platform.connect(NAME, demo);
      await until(async () => expect(await platform.history(NAME, 'refresh_succeeded')).not.toEqual([]));
      const { tables, text } = await everyRow(url);
      expect(tables).toBeGreaterThan(5);
      expect(text).toContain('refresh_succeeded');
      expectNone('database', text, [...endpoint.secrets, encryptionKey, AGENT_KEY]);
      expectNone('output', platform.output(), [...endpoint.secrets, encryptionKey, url]);
    } finally {
      await platform.remove();
      await endpoint.close();
      await drop();
    }
  });
});
