import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ACCOUNT, startIdentityProvider, startUpstream, submitLogin } from '../../examples/demo/start-demo.mjs';

export interface DemoOptions {
  /** Seconds. */
  accessTtl?: number;
  /** Seconds that a refresh token lives unused. */
  refreshIdleTtl?: number;
  rotation?: boolean;
  discloseRefreshExpiry?: boolean;
}

export interface DemoParts {
  readonly issuer: string;
  readonly upstreamUrl: string;
  readonly username: string;
  readonly password: string;
  /** Where the provider keeps its grants and tokens: what it says of a token is the truth about it. */
  readonly stateFile: string;
  readonly identityProvider: RestartablePart;
  readonly upstream: RestartablePart;
  /** The browser's part of a sign-in, by the provider's own forms. `cookie` is what the browser already holds for the first page. */
  login(authorizationUrl: string | URL, cookie?: string): Promise<{ url: string; status: number; body: string }>;
  stop(): Promise<void>;
}

export interface RestartablePart {
  pid(): number;
  /** Ends it (SIGKILL) and leaves its data: from here on its port refuses connections. */
  kill(): Promise<void>;
  /** Ends it if it runs, and starts it again on the same data, port and addresses. `changed` replaces options. */
  restart(changed?: DemoOptions): Promise<void>;
}

/** The demo's real parts on ephemeral ports and a folder of their own. Call `stop` when done. */
export async function startDemoParts(options: DemoOptions = {}): Promise<DemoParts> {
  const dataDir = await mkdtemp(join(tmpdir(), 'mdp-demo-'));
  try {
    const startProvider = (changed: DemoOptions = {}) =>
      startIdentityProvider({ dataDir: join(dataDir, 'identity-provider'), ...options, ...changed });
    const provider = await startProvider();
    const startBehind = () => startUpstream({ dataDir: join(dataDir, 'upstream'), issuer: provider.issuer });
    const behind = await startBehind().catch(async (error: unknown) => {
      await provider.kill();
      throw error;
    });
    const identityProvider = restartable(provider, startProvider);
    const upstream = restartable(behind, startBehind);
    return {
      issuer: provider.issuer,
      upstreamUrl: behind.resource,
      ...ACCOUNT,
      stateFile: join(dataDir, 'identity-provider', 'state.json'),
      identityProvider,
      upstream,
      login: (authorizationUrl, cookie) => submitLogin({ authorizationUrl, ...ACCOUNT, cookie }),
      stop: async () => {
        await Promise.all([identityProvider.kill(), upstream.kill()]);
        await rm(dataDir, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

interface Running {
  readonly pid: number;
  kill(): Promise<void>;
}

function restartable(first: Running, start: (changed?: DemoOptions) => Promise<Running>): RestartablePart {
  let running = first;
  return {
    pid: () => running.pid,
    kill: () => running.kill(),
    restart: async (changed) => {
      await running.kill();
      running = await start(changed);
    },
  };
}
