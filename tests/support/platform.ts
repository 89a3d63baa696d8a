import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, vi } from 'vitest';
import { stringify } from 'yaml';
import { submitLogin } from '../../examples/demo/start-demo.mjs';
import { type Client, createClient } from '../../src/contract/client.ts';
import type { AuthEvent, AuthEventType } from '../../src/contract/schemas.ts';

/** What `npm run build` made: these tests know the product as a user does, as a program. */
export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

const END_WITH_PARENT = new URL('./end-with-parent.mjs', import.meta.url).href;

export const ADMIN_KEY = 'admin-key-of-the-end-to-end-tests';
export const AGENT_KEY = 'agent-key-of-the-end-to-end-tests';

/** Shortened clocks; everything else is as in production. */
const SETTINGS = {
  address: '127.0.0.1:0',
  api_keys: [
    { name: 'operator', key: ADMIN_KEY, role: 'admin' },
    { name: 'agent', key: AGENT_KEY, role: 'agent' },
  ],
  catalog_interval: '1d',
  refresh_interval: '2s',
  token_deadline: '10s',
  late_listening: '20s',
  lease: '2s',
  listening_lease: '30s',
  backoff_min: '500ms',
  backoff_max: '2s',
};

/** Waits until a fact holds: looks again and again, and says at the end what was still wrong. */
export function until<T>(look: () => T | Promise<T>, timeout = 45_000): Promise<T> {
  return vi.waitFor(look, { timeout, interval: 100 });
}

export type Home = { dataDir: string; configFile: string; homeDir: string; env: NodeJS.ProcessEnv; remove(): void };

/** A data directory, a configuration and a HOME of its own, and none of the settings of whoever runs the tests. */
export function createHome(settings: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}): Home {
  const folder = mkdtempSync(join(tmpdir(), 'mdp-e2e-'));
  const configFile = join(folder, 'config.yaml');
  const homeDir = mkdtempSync(join(folder, 'home-'));
  writeFileSync(configFile, stringify({ ...SETTINGS, ...settings }));
  return {
    dataDir: join(folder, 'data'),
    configFile,
    homeDir,
    env: { PATH: process.env.PATH, HOME: homeDir, ...env },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export type RunningProgram = {
  pid: number;
  stdout(): string;
  stderr(): string;
  /** Undefined while it runs. */
  exitCode(): number | string | undefined;
  ended: Promise<number | string>;
  kill(signal: NodeJS.Signals): void;
};

/** Starts a program and keeps what it says; `ended` gives its exit code or the signal that ended it. */
export function runProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd?: string) {
  const child =
    command === process.execPath
      ? spawn(command, ['--import', END_WITH_PARENT, ...args], { env, cwd, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
      : spawn(command, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  let stdout = '';
  let stderr = '';
  let exitCode: number | string | undefined;
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      children.delete(child);
      exitCode = code ?? signal ?? 'unknown';
      resolve(exitCode);
    });
  });
  const program: RunningProgram = {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    exitCode: () => exitCode,
    ended,
    kill: (signal) => void child.kill(signal),
  };
  return program;
}

export type Ended = { code: number | string; stdout: string; stderr: string };

/** Runs a program to its end. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd?: string,
): Promise<Ended> {
  const program = runProgram(command, args, env, cwd);
  const code = await program.ended;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

export function runCli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
  return runToEnd(process.execPath, [CLI, ...args], env);
}

export function startCli(args: readonly string[], env: NodeJS.ProcessEnv): RunningProgram {
  return runProgram(process.execPath, [CLI, ...args], env);
}

/** The addresses and the key that a person reads from the terminal. */
export function readStartMessage(text: string): { signInLink: string; mcpUrl: string; url: string } {
  const signInLink = /Portal +(http\S+)/.exec(text)?.[1];
  const mcpUrl = /MCP endpoint +(http\S+)/.exec(text)?.[1];
  if (signInLink === undefined || mcpUrl === undefined || !text.includes('State ')) throw new Error('no start message');
  return { signInLink, mcpUrl, url: new URL(mcpUrl).origin };
}

export type PlatformOptions = {
  settings?: Record<string, unknown>;
  env?: NodeJS.ProcessEnv;
  /** The program to run, where it is not the build of this checkout. */
  cli?: string;
};

/** One server of the product, as a process; it may be ended and started again on the same data. */
export class TestPlatform {
  readonly home: Home;
  readonly #cli: string;
  #program: RunningProgram;
  #said: { signInLink: string; mcpUrl: string; url: string };
  #earlierOutput = '';
  /** The text of every answer of the API. */
  readonly apiReplies: string[] = [];

  private constructor(home: Home, cli: string, program: RunningProgram, said: TestPlatform['said']) {
    this.home = home;
    this.#cli = cli;
    this.#program = program;
    this.#said = said;
  }

  static async start({ settings, env, cli = CLI }: PlatformOptions = {}): Promise<TestPlatform> {
    const home = createHome(settings, env);
    try {
      return new TestPlatform(home, cli, ...(await launch(home, cli)));
    } catch (error) {
      home.remove();
      throw error;
    }
  }

  get said(): { signInLink: string; mcpUrl: string; url: string } {
    return this.#said;
  }

  get url(): string {
    return this.#said.url;
  }

  get mcpUrl(): string {
    return this.#said.mcpUrl;
  }

  get program(): RunningProgram {
    return this.#program;
  }

  /** All that any of its processes wrote to its terminal and its log. */
  output(): string {
    return `${this.#earlierOutput}${this.#program.stdout()}${this.#program.stderr()}`;
  }

  get api(): Client {
    return createClient({
      baseUrl: this.url,
      headers: { authorization: `Bearer ${ADMIN_KEY}` },
      fetch: async (url, init) => {
        const answer = await fetch(url, init);
        this.apiReplies.push(await answer.clone().text());
        return answer;
      },
    });
  }

  async putConnection(name: string, config: Record<string, unknown>, kind = 'mcp'): Promise<void> {
    await this.api.putConnection({ params: { kind, name }, body: { config } });
  }

  /** What a person does: Connect, the identity provider's own forms, and back. */
  async connect(name: string, person: { username: string; password: string }, kind = 'mcp'): Promise<void> {
    const { authorization_url } = await this.api.startConsent({ params: { kind, name }, body: {} });
    const page = await fetch(authorization_url, { method: 'POST', redirect: 'manual' });
    const cookie = page.headers.getSetCookie().map((line) => line.split(';')[0]);
    const location = page.headers.get('location') ?? '';
    const application = { url: this.url, cookie: cookie.join('; ') };
    const { username, password } = person;
    const end = await submitLogin({ authorizationUrl: location, username, password, application });
    expect(new URL(end.url).searchParams.get('connected')).toBe('1');
  }

  /** Oldest first. */
  async history(name: string, type?: AuthEventType, kind = 'mcp'): Promise<AuthEvent[]> {
    const query = { limit: 500, ...(type ? { type: [type] } : {}) };
    const { events } = await this.api.listConnectionEvents({ params: { kind, name }, query });
    return events.reverse();
  }

  async status(name: string, kind = 'mcp') {
    return this.api.getOAuthStatus({ params: { kind, name } });
  }

  /** SIGTERM, as an operating system does it; gives the exit code. */
  async stop(): Promise<number | string> {
    this.#program.kill('SIGTERM');
    return this.#program.ended;
  }

  async kill9(): Promise<void> {
    this.#program.kill('SIGKILL');
    await this.#program.ended;
  }

  async restart(): Promise<void> {
    if (this.#program.exitCode() === undefined) await this.stop();
    this.#earlierOutput = this.output();
    // On the same port: the redirect URI is registered with the provider, and a browser has a cookie for it.
    const address = ['--address', new URL(this.#said.url).host];
    [this.#program, this.#said] = await launch(this.home, this.#cli, address);
  }

  /** Runs a part of a test; if that fails, the error tells what the server said. */
  async explain<T>(name: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      const history = await this.history(name).catch(() => []);
      const told = history.map((event) => JSON.stringify(event)).join('\n');
      throw new Error(`${String(error)}\nThe history:\n${told}\nThe server:\n${this.output()}`, { cause: error });
    }
  }

  /** Ends it whatever its state, and removes what it kept. */
  async remove(): Promise<void> {
    if (this.#program.exitCode() === undefined) await this.kill9();
    this.home.remove();
  }
}

async function launch(
  home: Home,
  cli: string,
  more: readonly string[] = [],
): Promise<[RunningProgram, TestPlatform['said']]> {
  const args = [cli, '--transport', 'http', '--config', home.configFile, '--data-dir', home.dataDir, ...more];
  const program = runProgram(process.execPath, args, home.env);
  try {
    return [program, await startMessageOf(program)];
  } catch (error) {
    program.kill('SIGKILL');
    throw new Error(`the server did not start (${program.exitCode()}): ${program.stderr()}`, { cause: error });
  }
}

/** Waits for the start message; throws at once when the program ends without one. */
export async function startMessageOf(program: RunningProgram): Promise<TestPlatform['said']> {
  const said = await until(() => {
    if (program.exitCode() !== undefined) return undefined;
    return readStartMessage(program.stdout());
  });
  if (said === undefined) throw new Error(`ended with ${program.exitCode()}`);
  return said;
}
