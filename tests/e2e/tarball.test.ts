import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHome, runToEnd, TestPlatform } from '../support/platform.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** npm by way of the node that runs the tests would need its path; it is on PATH wherever `npm test` is. */
const npm = (args: string[], cwd: string, env: NodeJS.ProcessEnv = process.env) => runToEnd('npm', args, env, cwd);

describe('the packed tarball, installed in an empty folder', () => {
  let folder: string;
  let installed: string;
  let files: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mdp-tarball-'));
    installed = join(folder, 'installed');
    mkdirSync(installed);
    // Built already, and not again here: other tests run what is in dist.
    const packed = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT);
    expect(packed.code, packed.stderr).toBe(0);
    const [{ filename, files: listed }] = JSON.parse(packed.stdout) as [
      { filename: string; files: { path: string }[] },
    ];
    files = listed.map(({ path }) => path);
    const args = ['install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
    const ended = await npm([...args, join(folder, filename)], installed);
    expect(ended.code, ended.stderr).toBe(0);
  }, 180_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const bin = () => join(installed, 'node_modules/.bin/mcp-data-platform');
  const run = (...args: string[]) => {
    const home = createHome();
    return runToEnd(bin(), args, home.env, installed).finally(home.remove);
  };

  it('holds the server, the portal and the database image, and neither tests nor sources', () => {
    for (const wanted of ['package.json', 'dist/cli.js', 'dist/index.d.ts', 'dist/portal/index.html', 'LICENSE']) {
      expect(files).toContain(wanted);
    }
    expect(files).toEqual(
      expect.arrayContaining(['dist/database-image.gz', 'dist/database-image.gz.json', 'README.md']),
    );
    const outside = files.filter((path) => !/^(dist|docs)\/|^[A-Z]+\.md$|^LICENSE$|^package\.json$/.test(path));
    expect(outside).toEqual([]);
    expect(files.filter((path) => /\.tsx?$/.test(path) && !path.endsWith('.d.ts'))).toEqual([]);
    expect(files.filter((path) => /test|node_modules|\.map$/.test(path))).toEqual([]);
  });

  it('brings nothing that only the development of it needs', () => {
    for (const name of ['typescript', 'vite', 'vitest', 'react', 'oidc-provider']) {
      expect(existsSync(join(installed, 'node_modules', name)), name).toBe(false);
    }
  });

  it('--version, --help', async () => {
    expect(await run('--version')).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(await run('--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('--transport') });
  });

  it('serves over HTTP as the checkout does, from the prepared image', async () => {
    const cli = join(installed, 'node_modules/mcp-data-platform/dist/cli.js');
    const platform = await TestPlatform.start({ cli, settings: { log_level: 'debug' } });
    try {
      expect(platform.output()).toContain('"preparation":"image"');
      expect(await platform.api.listConnections()).toEqual({ connections: [] });
      expect((await fetch(`${platform.url}/healthz`)).status).toBe(200);
      expect((await fetch(`${platform.url}/readyz`)).status).toBe(200);
      const portal = await fetch(`${platform.url}/connections`, { headers: { accept: 'text/html' } });
      expect(portal.headers.get('content-type')).toContain('text/html');
      const script = /src="([^"]+\.js)"/.exec(await portal.text())?.[1] ?? '';
      const answer = await fetch(new URL(script, platform.url));
      expect(answer.headers.get('content-type')).toContain('javascript');
      expect(await platform.stop()).toBe(0);
    } finally {
      await platform.remove();
    }
  });

  it('is a part of another program by createPlatform, with a kind of its own', async () => {
    const home = createHome();
    writeFileSync(
      join(installed, 'embedding.mjs'),
      `import { createPlatform, loadConfig } from 'mcp-data-platform';
      const toolkit = { kind: 'own', configSchema: { safeParse() {} }, connect() {} };
      const config = loadConfig({ config: ${JSON.stringify(home.configFile)}, data_dir: ${JSON.stringify(home.dataDir)} });
      const builder = createPlatform({ config }).registerToolkit(toolkit);
      const say = (error) => error.message;
      const told = [await Promise.resolve().then(() => builder.registerToolkit(toolkit)).catch(say)];
      const platform = await builder.start();
      told.push((await fetch(platform.publicUrl + '/readyz')).status);
      told.push(await createPlatform({ config }).start().catch(say));
      await platform.stop();
      const again = await createPlatform({ config }).start();
      await again.stop();
      console.log(JSON.stringify(told));`,
    );
    try {
      const { code, stdout, stderr } = await runToEnd(process.execPath, ['embedding.mjs'], home.env, installed);
      expect(code, stderr).toBe(0);
      expect(JSON.parse(stdout)).toEqual([
        'The toolkit brings the kind own, which there is already. Give it another one.',
        200,
        expect.stringContaining(`${home.dataDir} is served by another process`),
      ]);
    } finally {
      home.remove();
    }
  });

  it('--demo says in one sentence how to get its parts', async () => {
    const { code, stdout, stderr } = await run('--demo', '--address', '127.0.0.1:0');
    expect(code).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^[^\n]*clone the repository and run `npm start -- --demo`[^\n]*\.\n$/);
  });
});
