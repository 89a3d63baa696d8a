import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { type Credential, grantOf } from '../core/credential.ts';
import type { Clock, Connection, ConnectionStore, CredentialStore, Log, Random } from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import { backoff } from '../core/refresh-policy.ts';
import type { ClientCredentialsFlow } from './api.ts';

export type FirstTokensDeps = {
  connections: Pick<ConnectionStore, 'list' | 'read'>;
  credentials: Pick<CredentialStore, 'read'>;
  clientCredentials: ClientCredentialsFlow;
  clock: Clock;
  random: Random;
  log: Log;
};

/** From a minute to six hours: each attempt that fails writes two lines of history. */
const PAUSES = { backoff_min: 60_000, backoff_max: 21_600_000 };
const IDLE_MS = 3_600_000;

/** Connections that ask in their own name need nobody for their first token, however often it takes to get it. */
export interface FirstTokens {
  /** Asks now; where that fails it is asked again later. Resolves when it has been tried once. */
  obtain(connection: Connection, actor: string): Promise<void>;
  /** Asks for those whose time has come. */
  runOnce(): Promise<void>;
  start(): void;
  stop(): Promise<void>;
}

function isWanted({ config, issues }: Connection, credential: Credential): boolean {
  if (config.auth_mode !== 'oauth' || grantOf(config) !== 'client_credentials' || issues.length > 0) return false;
  if (credential.state === 'never_connected') return true;
  const reason = credential.state === 'revoked' ? credential.revocation?.reason : undefined;
  return reason === 'destination_changed' || reason === 'grant_changed';
}

export function createFirstTokens(deps: FirstTokensDeps): FirstTokens {
  const { connections, credentials, clock, log } = deps;
  /** `consent_seq`: a Disconnect draws another (protocol rule 3), also that of what was never connected. */
  const waiting = new Map<string, { key: ConnectionKey; attempts: number; at: number; consent_seq: bigint }>();
  const stopping = new AbortController();
  let wake = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  function again(key: ConnectionKey, attempts: number, consent_seq: bigint): void {
    const at = clock.now() + backoff(attempts, PAUSES, deps.random.fraction(), null);
    waiting.set(connectionLabel(key), { key, attempts, at, consent_seq });
    wake.abort();
  }

  async function ask({ key }: Connection, actor: string, attempts: number, consent_seq: bigint): Promise<void> {
    try {
      await deps.clientCredentials.acquire(key, actor);
    } catch (error) {
      again(key, attempts, consent_seq);
      log.warn('the first token of a connection could not be obtained; its history says why, it is asked for again', {
        connection: connectionLabel(key),
        error,
      });
    }
  }

  /** Nobody has saved it since: what a person does meanwhile outranks us. */
  async function askAgain(key: ConnectionKey, attempts: number, consent_seq: bigint): Promise<void> {
    try {
      const [connection, credential] = [await connections.read(key), await credentials.read(key)];
      if (!connection || credential?.consent_seq !== consent_seq || !isWanted(connection, credential)) return;
      await ask(connection, ACTOR.backgroundRefresh, attempts, consent_seq);
    } catch (error) {
      again(key, attempts, consent_seq);
      log.warn('connections that wait for their first token could not be read; tried again', { error });
    }
  }

  async function runOnce(): Promise<void> {
    for (const [label, { key, attempts, at, consent_seq }] of [...waiting]) {
      if (at > clock.now() || stopping.signal.aborted) continue;
      waiting.delete(label);
      await askAgain(key, attempts + 1, consent_seq);
    }
  }

  /** What a process that ended was waiting for, as far as nobody has drawn a number since. */
  async function remember(): Promise<void> {
    const all = await connections.list().catch(() => []);
    for (const { config, key } of all) {
      if (config.auth_mode !== 'oauth' || grantOf(config) !== 'client_credentials') continue;
      if (!waiting.has(connectionLabel(key))) again(key, 1, 0n);
    }
  }

  return {
    async obtain(connection, actor) {
      waiting.delete(connectionLabel(connection.key));
      const credential = await credentials.read(connection.key).catch((error: unknown) => {
        log.warn('a saved connection could not be read; its first token is asked for after the next start', { error });
        return undefined;
      });
      if (credential && isWanted(connection, credential)) await ask(connection, actor, 1, credential.consent_seq);
    },
    runOnce,
    start() {
      loop = (async () => {
        await remember();
        while (!stopping.signal.aborted) {
          const next = Math.min(...[...waiting.values()].map(({ at }) => at), clock.now() + IDLE_MS);
          await clock.sleep(Math.max(next - clock.now(), 0), AbortSignal.any([stopping.signal, wake.signal]));
          if (wake.signal.aborted) wake = new AbortController();
          await runOnce();
        }
      })();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
