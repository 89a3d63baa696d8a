import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { systemClock } from './clock.ts';
import { AppError } from './core/errors.ts';
import type { Log } from './core/ports.ts';
import { createEgress } from './egress.ts';
import type { Platform } from './main.ts';

const FOLDER = fileURLToPath(new URL('../examples/demo/', import.meta.url));
const PROGRAM = 'start-demo.mjs';
const KEY = { kind: 'mcp', name: 'demo' };
const ACTOR = 'demo';

type Running = {
  issuer: string;
  upstreamUrl: string;
  username: string;
  password: string;
  stop(): Promise<void>;
};

type Program = {
  startDemo(options: { dataDir: string; log?: (line: string) => void }): Promise<Running>;
  submitLogin(person: {
    authorizationUrl: string;
    username: string;
    password: string;
    application: { url: string; cookie: string };
  }): Promise<{ url: string; status: number }>;
};

export type Demo = Running & {
  /** Creates the connection where there is none, and signs in once where it is not connected. */
  connect(platform: Platform): Promise<void>;
};

/**
 * Starts the demo's identity provider and MCP server, each as a process of its own.
 * @throws AppError `unavailable` telling how to get them, where they are not part of the installation
 */
export async function startDemo(dataDir: string, log: Log): Promise<Demo> {
  const path = join(FOLDER, PROGRAM);
  if (!existsSync(path) || !existsSync(join(FOLDER, 'node_modules'))) {
    throw new AppError(
      'unavailable',
      "The demo's parts are not installed here: clone the repository and run `npm start -- --demo` in it.",
    );
  }
  const program = (await import(pathToFileURL(path).href)) as Program;
  const running = await program.startDemo({ dataDir: join(dataDir, 'demo-parts'), log: (line) => log.debug(line) });
  return { ...running, connect: (platform) => connect(program, running, platform) };
}

async function connect(program: Program, running: Running, platform: Platform): Promise<void> {
  const { connections, authorize, refresh } = platform.flows;
  const known = (await connections.list()).find(({ kind, name }) => kind === KEY.kind && name === KEY.name);
  if (!known) {
    const config = { endpoint: running.upstreamUrl, auth_mode: 'oauth' };
    await connections.put(
      KEY,
      { config, description: 'The demo: server-everything behind an OAuth resource server' },
      ACTOR,
    );
  }
  // After a long pause the refresh token may have died of idleness: asking is the only way to know.
  if (known) await refresh.refresh({ key: KEY, reason: 'operator', actor: ACTOR });
  if ((await connections.get(KEY)).oauth?.state === 'connected') return toolsListed(platform);
  const { state } = await authorize.start(KEY, { actor: ACTOR });
  const egress = createEgress();
  // What the browser of a person does: our page sets the binding cookie and sends it on to the login form.
  const page = await egress(`${platform.publicUrl}/connect/${state}`, { method: 'POST', trust: { url: 'typed' } });
  const cookie = page.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ');
  const authorizationUrl = page.headers.get('location') ?? '';
  const { username, password } = running;
  const application = { url: platform.publicUrl, cookie };
  await egress.close();
  await program.submitLogin({ authorizationUrl, username, password, application });
  await toolsListed(platform);
}

/** The first call that a person copies from the terminal must not meet an empty list. */
async function toolsListed({ flows }: Platform): Promise<void> {
  const deadline = systemClock.timeout(10_000);
  while (!deadline.aborted && (flows.catalog.status(KEY)?.tools ?? 0) === 0) await systemClock.sleep(50, deadline);
}
