import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, inject, it } from 'vitest';
import { createHome, runCli, TestPlatform } from '../support/platform.ts';
import { createDatabase } from '../tools/postgres.mjs';

const SECRET = 'a-secret-that-must-not-be-printed';
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

it('a server is moved from its directory to PostgreSQL and on to another directory, by its commands', async () => {
  const platform = await TestPlatform.start();
  cleanups.push(() => platform.remove());
  const { dataDir, homeDir } = platform.home;
  await platform.putConnection('moved', {
    endpoint: 'http://127.0.0.1:9/mcp',
    auth_mode: 'bearer',
    credential: SECRET,
  });
  const file = join(homeDir, 'export.jsonl');
  const run = (command: string, name: string, directory: string, env = platform.home.env) =>
    runCli([command, name, '--data-dir', directory], env);

  expect(await run('export', file, dataDir)).toMatchObject({
    code: expect.any(Number),
    stdout: '',
    stderr: expect.stringMatching(/in use by a running server .*Stop it first\.\n$/),
  });
  expect(await platform.stop()).toBe(0);
  const exported = await run('export', file, dataDir);
  expect(exported).toMatchObject({ code: 0, stdout: expect.stringContaining('Exported 1 connection, '), stderr: '' });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).not.toContain(SECRET);

  const { url, drop } = await createDatabase(inject('postgresUrl'));
  const key = readFileSync(join(dataDir, 'secret.key'), 'utf8').trim();
  const onServer = { DATABASE_URL: url, ENCRYPTION_KEY: key };
  const wrong = { ...platform.home.env, ...onServer, ENCRYPTION_KEY: '0'.repeat(64) };
  const between = join(homeDir, 'between');
  expect(await run('import', file, between, wrong)).toMatchObject({
    stdout: '',
    stderr: expect.stringMatching(/another key/),
  });
  const cut = join(homeDir, 'cut.jsonl');
  writeFileSync(cut, readFileSync(file).subarray(0, -100));
  expect(await run('import', cut, between, { ...platform.home.env, ...onServer })).toMatchObject({
    stdout: '',
    stderr: expect.stringMatching(/^[^\n]+Nothing was written\.\n$/),
  });
  const second = createHome({}, onServer);
  cleanups.push(second.remove, drop);
  const imported = await run('import', file, second.dataDir, second.env);
  expect(imported).toMatchObject({ code: 0, stdout: expect.stringContaining('Imported 1 connection,'), stderr: '' });
  const again = await run('import', file, second.dataDir, second.env);
  expect(again.stderr).toMatch(/not empty/);

  const back = join(homeDir, 'back.jsonl');
  expect(await run('export', back, second.dataDir, second.env)).toMatchObject({ code: 0 });
  for (const name of ['database', 'escrow', 'replica-id'])
    rmSync(join(dataDir, name), { recursive: true, force: true });
  expect(await run('import', back, dataDir)).toMatchObject({ code: 0, stderr: '' });
  await platform.restart();
  const { connections } = await platform.api.listConnections({});
  expect(JSON.stringify(connections)).toContain('"moved"');
  for (const ended of [exported, imported, again]) expect(`${ended.stdout}${ended.stderr}`).not.toContain(SECRET);
});
