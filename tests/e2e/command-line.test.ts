import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { ApiProblem } from '../../src/contract/client.ts';
import { CALLBACK_PATH } from '../../src/contract/endpoints.ts';
import { type DemoParts, startDemoParts } from '../support/demo.ts';
import { createHome, type Ended, runCli, startCli, startMessageOf, TestPlatform, until } from '../support/platform.ts';
import { createDatabase } from '../tools/postgres.mjs';
import { connectionBy, startTokenEndpoint } from './token-endpoint.ts';

const SECRET = 'a-secret-that-must-not-be-printed';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

function home(settings: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}) {
  const made = createHome(settings, env);
  cleanups.push(made.remove);
  return made;
}

async function started(settings: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}): Promise<TestPlatform> {
  const platform = await TestPlatform.start({ settings, env });
  cleanups.push(() => platform.remove());
  return platform;
}

/** One sentence for a person beside the log: the lines of the log are JSON. */
function sentence({ stderr }: Ended): string {
  return stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .join('\n');
}

function expectOneSentence(ended: Ended, ...named: (string | RegExp)[]): void {
  expect(ended.code).not.toBe(0);
  expect(sentence(ended).split('\n')).toHaveLength(1);
  expect(sentence(ended)).toMatch(/\.$/);
  for (const part of named) expect(sentence(ended)).toMatch(part);
  expect(`${ended.stdout}${ended.stderr}`).not.toMatch(/\n\s+at /);
  expect(`${ended.stdout}${ended.stderr}`).not.toContain(SECRET);
}

describe('what cannot start says in one sentence why', () => {
  it('a taken port', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { dataDir, env } = home();
    const ended = await runCli(['--transport', 'http', '--data-dir', dataDir, '--address', address], env);
    expectOneSentence(ended, address, '--address');
  });

  it('a directory that cannot be written', async () => {
    const { configFile, env } = home();
    const ended = await runCli(['--transport', 'http', '--data-dir', join(configFile, 'data')], {
      ...env,
      DATABASE_URL: '',
    });
    expectOneSentence(ended, /data/, '--data-dir');
  });

  it.each([
    ['an unknown key', { refresh_intervall: '5m' }, ['refresh_intervall']],
    ['a bad value', { refresh_interval: 'soon' }, ['refresh_interval', 'duration']],
    ['a missing variable', { encryption_key: `${SECRET}\${NOT_SET}` }, ['encryption_key', 'NOT_SET']],
    ['a bad key of a list', { api_keys: [{ name: 'a', key: 'short' }] }, [/api_keys\.0\.key/]],
    [
      'a pattern that is none',
      { api_keys: [{ name: 'a', key: SECRET.repeat(24), allow: ['mcp/x', 'github'], deny: ['mcp/x:'] }] },
      [/api_keys\.0\.allow\.1 must be kind\/name or kind\/name:tool/, /api_keys\.0\.deny\.0 must be/],
    ],
    [
      'an invalid declared connection',
      {
        connections: [
          { kind: 'mcp', name: 'a', config: { endpoint: 'nowhere', auth_mode: 'bearer', credential: SECRET } },
        ],
      },
      ['mcp/a', 'endpoint'],
    ],
    [
      'a declared connection with an unknown key',
      { connections: [{ kind: 'mcp', name: 'a', config: { endpoint: 'http://127.0.0.1:1', oauth_scope: SECRET } }] },
      ['mcp/a', 'oauth_scope'],
    ],
    ['a declared connection of an unknown kind', { connections: [{ kind: 'ftp', name: 'a', config: {} }] }, ['ftp']],
    [
      'an unusable encryption key',
      { encryption_key: SECRET, database_url: 'postgres://u:p@127.0.0.1:1/db' },
      [/encryption.key/i],
    ],
    [
      'a database that is not there',
      { encryption_key: '0'.repeat(64), database_url: `postgres://u:${SECRET}@127.0.0.1:1/db` },
      [/database|PostgreSQL/],
    ],
  ])('%s', async (_name, settings, named) => {
    const { dataDir, configFile, env } = home(settings);
    const ended = await runCli(['--transport', 'http', '--config', configFile, '--data-dir', dataDir], env);
    expectOneSentence(ended, ...named);
  });

  it('a file that is not YAML, one that is no mapping, and one that is not there', async () => {
    const { dataDir, configFile, env } = home();
    const run = () => runCli(['--transport', 'http', '--config', configFile, '--data-dir', dataDir], env);
    writeFileSync(configFile, `api_keys: [\nencryption_key: "${SECRET}`);
    expectOneSentence(await run(), configFile, /line \d/);
    writeFileSync(configFile, `- ${SECRET}\n`);
    expectOneSentence(await run(), configFile, 'mapping');
    const ended = await runCli(['--config', `${configFile}.none`, '--data-dir', dataDir], env);
    expectOneSentence(ended, `${configFile}.none`, '--config');
  });

  it('an unknown flag and an unknown transport', async () => {
    const { env } = home();
    const unknown = await runCli(['--verbose'], env);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('--verbose') });
    expectOneSentence(await runCli(['--transport', 'carrier-pigeon'], env), 'transport', /stdio/);
  });
});

describe('the commands', () => {
  it('--version and --help answer at once', async () => {
    const { env } = home();
    expect(await runCli(['--version'], env)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    const help = await runCli(['--help'], env);
    expect(help.code).toBe(0);
    for (const word of ['--transport', '--address', '--data-dir', '--config', '--demo', 'link']) {
      expect(help.stdout).toContain(word);
    }
  });

  it('link prints a sign-in link of the running server, and says when none runs', async () => {
    const platform = await started();
    const args = ['link', '--data-dir', platform.home.dataDir];
    const link = await runCli(args, platform.home.env);
    expect(link).toMatchObject({ code: 0, stderr: '' });
    const url = new URL(link.stdout.trim());
    expect(url.origin).toBe(platform.url);
    const body = new URLSearchParams({ token: url.searchParams.get('token') ?? '', return_to: '/' });
    const headers = { accept: 'application/json', origin: platform.url };
    const signIn = () => fetch(`${platform.url}/sign-in`, { method: 'POST', body, headers });
    expect(await (await signIn()).json()).toMatchObject({ role: 'admin' });
    expect((await signIn()).status).toBe(401);
    await platform.stop();
    expectOneSentence(await runCli(args, platform.home.env), platform.home.dataDir, '--data-dir');
  });

  it('doctor tells of the running server what needs a person, and what to do when none runs', async () => {
    const platform = await started();
    const args = ['doctor', '--data-dir', platform.home.dataDir];
    expect(await runCli(args, platform.home.env)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing needs a person.'),
    });
    await platform.putConnection('issues', { endpoint: 'https://mcp.example/mcp', auth_mode: 'oauth' });
    const told = await runCli(args, platform.home.env);
    expect(told).toMatchObject({ code: 1, stdout: expect.stringContaining('mcp/issues: never_connected') });
    const json = await runCli([...args, '--json'], platform.home.env);
    expect(JSON.parse(json.stdout)).toMatchObject({
      needs_person: true,
      connections: [{ kind: 'mcp', name: 'issues', oauth: { state: 'never_connected' } }],
    });
    chmodSync(join(platform.home.dataDir, 'secret.key'), 0o644);
    expect((await runCli(args, platform.home.env)).stdout).toMatch(
      /BAD .*secret\.key can be read by others\. Run: chmod 600/,
    );
    expect(await platform.stop()).toBe(0);
    const ended = await runCli(args, platform.home.env);
    expect(ended).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('Start one (mcp-data-platform --transport http)'),
    });
  });

  it('link works beside a server on PostgreSQL, too', async () => {
    const { url, drop } = await createDatabase(inject('postgresUrl'));
    cleanups.push(drop);
    const env = { DATABASE_URL: url, ENCRYPTION_KEY: '0'.repeat(64) };
    const platform = await started({}, env);
    const link = await runCli(['link', '--data-dir', platform.home.dataDir], platform.home.env);
    expect(link).toMatchObject({ code: 0, stdout: expect.stringContaining(`${platform.url}/sign-in?token=`) });
  });

  it('a second server on one data directory says who has it, waits, and takes over', async () => {
    const first = await started();
    const { dataDir, configFile, env } = first.home;
    const second = startCli(['--transport', 'http', '--config', configFile, '--data-dir', dataDir], env);
    cleanups.push(() => second.kill('SIGKILL'));
    await until(() => expect(second.stdout()).toContain(`process ${first.program.pid}`));
    expect(second.stdout()).toContain('takes over');
    expect(await first.stop()).toBe(0);
    const said = await startMessageOf(second);
    expect((await fetch(`${said.url}/healthz`)).status).toBe(200);
    second.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  });

  it('a server that waits for the directory can be stopped', async () => {
    const first = await started();
    const { dataDir, configFile, env } = first.home;
    const second = startCli(['--transport', 'http', '--config', configFile, '--data-dir', dataDir], env);
    await until(() => expect(second.stdout()).toContain('waits'));
    second.kill('SIGTERM');
    expect(await second.ended).toBe(0);
  });
});

describe('connections declared in the file', () => {
  it.each([
    ['mcp', 'endpoint'],
    ['api', 'base_url'],
  ])(
    'appear with their variables put in, do not show their secrets, and belong to the file (%s)',
    async (kind, url) => {
      const config = {
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own syntax
        [url]: '${UPSTREAM:-http://127.0.0.1:1/mcp}',
        auth_mode: 'bearer',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own syntax
        credential: '${UPSTREAM_TOKEN}',
      };
      const connections = [{ kind, name: 'declared', description: 'From the file', config }];
      const platform = await started({ connections }, { UPSTREAM_TOKEN: SECRET });
      const params = { kind, name: 'declared' };
      expect(await platform.api.getConnection({ params })).toMatchObject({
        source: 'file',
        description: 'From the file',
        config: { [url]: 'http://127.0.0.1:1/mcp', credential: '[REDACTED]' },
      });
      const problem = (error: unknown) => error as ApiProblem;
      const edited = await platform.api.putConnection({ params, body: { config } }).catch(problem);
      const deleted = await platform.api.deleteConnection({ params }).catch(problem);
      for (const refusal of [edited, deleted]) {
        expect(refusal).toBeInstanceOf(ApiProblem);
        expect(refusal).toMatchObject({ status: 409, code: 'managed_by_file' });
      }
      expect(platform.apiReplies.join() + platform.output()).not.toContain(SECRET);
      // Once the file no longer names it, it is the operator's.
      const { connections: _, ...rest } = parse(readFileSync(platform.home.configFile, 'utf8'));
      writeFileSync(platform.home.configFile, stringify(rest));
      await platform.restart();
      expect(await platform.api.getConnection({ params })).toMatchObject({ source: 'api' });
      expect(await platform.api.deleteConnection({ params })).toBeUndefined();
    },
  );
});

describe('SIGTERM while a refresh is under way', () => {
  let demo: DemoParts;
  beforeAll(async () => {
    demo = await startDemoParts({ accessTtl: 6, refreshIdleTtl: 60 });
  });
  afterAll(() => demo?.stop());

  it('waits for the reply and keeps the token', async () => {
    const platform = await started({ token_deadline: '30s' });
    const endpoint = await startTokenEndpoint(demo.issuer, platform.url + CALLBACK_PATH);
    cleanups.push(() => endpoint.close());
    await platform.putConnection('a', connectionBy(endpoint, demo.issuer, demo.upstreamUrl));
    await platform.connect('a', demo);
    const held = endpoint.holdNextRefresh('reply');
    await until(() => expect(held.arrived()).toBe(true));
    const stopped = platform.stop();
    await until(() => expect(existsSync(join(platform.home.dataDir, 'owner.json'))).toBe(false));
    expect(platform.program.exitCode()).toBeUndefined();
    held.release();
    expect(await stopped).toBe(0);
    await platform.restart();
    const history = await platform.history('a', 'refresh_succeeded');
    expect(history.length).toBeGreaterThanOrEqual(1);
    await until(async () => expect(await platform.status('a')).toMatchObject({ state: 'connected', health: 'ok' }));
  });
});
