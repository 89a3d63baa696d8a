import { fork } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { startDemoParts } from '../support/demo.ts';
import { findChromium, loadPlaywright } from '../tools/browser.mjs';
import { createDatabase } from '../tools/postgres.mjs';
import { createPlainClient } from './oauth-client.ts';

const tools = createRequire(new URL('../tools/package.json', import.meta.url));
const toolsFolder = join(import.meta.dirname, '../tools');

test('a person signs in with the keyboard in a real browser, on pages without accessibility violations', async () => {
  const demo = await startDemoParts();
  const client = await createPlainClient(demo);
  const browser = await loadPlaywright().chromium.launch(await findChromium());
  try {
    const page = await (await browser.newContext()).newPage();
    const complaints: string[] = [];
    page.on('console', (message: { text(): string }) => complaints.push(message.text()));
    const { AxeBuilder } = tools('@axe-core/playwright');
    const violations = async () => (await new AxeBuilder({ page }).analyze()).violations;

    await page.goto(client.authorization(demo.upstreamUrl).url.href);
    expect(await violations()).toEqual([]);
    await page.keyboard.type(demo.username);
    await page.keyboard.press('Tab');
    await page.keyboard.type('guess');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    expect(await violations()).toEqual([]);
    await page.keyboard.type(demo.password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Allow Plain client?' }).waitFor();
    expect(await violations()).toEqual([]);
    await page.getByRole('button', { name: 'Allow' }).click();
    await page.getByText('back at the application').waitFor();
    expect(page.url()).toContain(`${client.redirectUri}?code=`);
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([]);
  } finally {
    await browser.close();
    await client.close();
    await demo.stop();
  }
}, 120_000);

test('the PostgreSQL of a run gives every caller a database of its own, and ends with a run that is killed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mdp-postgres-test-'));
  const starter = join(folder, 'starter.mjs');
  const entry = pathToFileURL(join(toolsFolder, 'postgres.mjs')).href;
  await writeFile(
    starter,
    `const { startPostgres } = await import(${JSON.stringify(entry)});
     process.send((await startPostgres()).url);
     process.on('message', () => {}); // Keeps it running: the PostgreSQL itself does not.`,
  );
  const env = { ...process.env, TEST_DATABASE_URL: '' };
  const parent = fork(starter, { env });
  try {
    const url = await new Promise<string>((resolve) => parent.once('message', (message) => resolve(String(message))));
    const databases = await Promise.all([createDatabase(url), createDatabase(url)]);
    expect(new Set(databases.map((database) => database.url)).size).toBe(2);
    for (const { url: own, drop } of databases) {
      expect(await answers(own)).toBe('empty');
      await drop();
      expect(await answers(own)).toBe('refused');
    }
    parent.kill('SIGKILL');
    await expect.poll(() => answers(url), { timeout: 10_000 }).toBe('refused');
    await expect.poll(() => canListen(Number(new URL(url).port)), { timeout: 10_000 }).toBe(true);
  } finally {
    parent.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

async function answers(url: string): Promise<'empty' | 'used' | 'refused'> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rowCount } = await client.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'");
    return rowCount === 0 ? 'empty' : 'used';
  } catch {
    return 'refused';
  } finally {
    await client.end().catch(() => {}); // A connection that the server has cut cannot be ended politely.
  }
}

async function canListen(port: number): Promise<boolean> {
  const server = createServer();
  try {
    return await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port === port));
    });
  } finally {
    server.close();
  }
}
