import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { type Credential, grantOf } from '../core/credential.ts';
import type { Clock, Connection, ConnectionStore, CredentialStore, Log, Random } from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import { backoff } from '../core/refresh-policy.ts';
import type { ClientCredentialsFlow } from './api.ts';
import { limiter } from './limiter.ts';

export type FirstTokensDeps = {
  connections: Pick<ConnectionStore, 'list' | 'read'>;
  credentials: Pick<CredentialStore, 'read'>;
  clientCredentials: ClientCredentialsFlow;
  clock: Clock;
  random: Random;
  log: Log;
};

/** The most that are asked for at once: a server that does not answer keeps its own waiting, not those of others. */
const AT_ONCE = 64;
/** From a minute to six hours: each attempt that fails writes two lines of history. */
const PAUSES = { backoff_min: 60_000, backoff_max: 21_600_000 };
const IDLE_MS = 3_600_000;

/** Connections that ask in their own name need nobody for their first token, however often it takes to get it. */
export interface FirstTokens {
  /** Asks now; where that fails it is asked again later. Resolves when it has been tried once. */
  obtain(connection: Connection, actor: string): Promise<void>;
  /** Asks for those whose time has come; resolves when each has been tried once. */
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

type Wanted = {
  key: ConnectionKey;
  attempts: number;
  /** A Disconnect draws another (protocol rule 3), also that of what was never connected. null: wanted before our start. */
  consent_seq: bigint | null;
};

/** Whether nobody has ended it since it was wanted: what a person does meanwhile outranks us. */
function isStillWanted({ consent_seq: wanted }: Wanted, { state, consent_seq }: Credential): boolean {
  if (wanted !== null) return wanted === consent_seq;
  // What is revoked says why. What was never connected may have been disconnected, if a number was drawn for it.
  return state !== 'never_connected' || consent_seq === 0n;
}

export function createFirstTokens(deps: FirstTokensDeps): FirstTokens {
  const { connections, credentials, clock, log } = deps;
  const waiting = new Map<string, Wanted & { at: number }>();
  const running = new Set<Promise<void>>();
  const atOnce = limiter(AT_ONCE);
  const stopping = new AbortController();
  let wake = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  function again(wanted: Wanted): void {
    const at = clock.now() + backoff(wanted.attempts, PAUSES, deps.random.fraction(), null);
    waiting.set(connectionLabel(wanted.key), { ...wanted, at });
    wake.abort();
  }

  async function ask(wanted: Wanted, actor: string): Promise<void> {
    try {
      await deps.clientCredentials.acquire(wanted.key, actor);
    } catch (error) {
      again(wanted);
      log.warn('the first token of a connection could not be obtained; its history says why, it is asked for again', {
        connection: connectionLabel(wanted.key),
        error,
      });
    }
  }

  async function askAgain(wanted: Wanted): Promise<void> {
    if (stopping.signal.aborted) return;
    const { key, attempts } = wanted;
    try {
      const [connection, credential] = [await connections.read(key), await credentials.read(key)];
      if (!connection || !credential || !isStillWanted(wanted, credential) || !isWanted(connection, credential)) return;
      await ask({ key, attempts, consent_seq: credential.consent_seq }, ACTOR.backgroundRefresh);
    } catch (error) {
      again(wanted);
      log.warn('connections that wait for their first token could not be read; tried again', { error });
    }
  }

  /** Begins to ask for those whose time has come. */
  function begin(): Promise<void>[] {
    const due = [...waiting].filter(([, { at }]) => at <= clock.now());
    return due.map(([label, { key, attempts, consent_seq }]) => {
      waiting.delete(label);
      const run = atOnce(() => askAgain({ key, attempts: attempts + 1, consent_seq }));
      running.add(run);
      return run.finally(() => running.delete(run));
    });
  }

  /** What a process that ended was waiting for, as far as it can be told. */
  async function remember(): Promise<void> {
    const all = await connections.list().catch(() => []);
    for (const { config, key } of all) {
      if (config.auth_mode !== 'oauth' || grantOf(config) !== 'client_credentials') continue;
      if (!waiting.has(connectionLabel(key))) again({ key, attempts: 1, consent_seq: null });
    }
  }

  return {
    async obtain(connection, actor) {
      waiting.delete(connectionLabel(connection.key));
      const credential = await credentials.read(connection.key).catch((error: unknown) => {
        log.warn('a saved connection could not be read; its first token is asked for after the next start', { error });
        return undefined;
      });
      if (!credential || !isWanted(connection, credential)) return;
      await ask({ key: connection.key, attempts: 1, consent_seq: credential.consent_seq }, actor);
    },
    async runOnce() {
      await Promise.all(begin());
    },
    start() {
      loop = (async () => {
        await remember();
        while (!stopping.signal.aborted) {
          const next = Math.min(...[...waiting.values()].map(({ at }) => at), clock.now() + IDLE_MS);
          await clock.sleep(Math.max(next - clock.now(), 0), AbortSignal.any([stopping.signal, wake.signal]));
          if (wake.signal.aborted) wake = new AbortController();
          if (!stopping.signal.aborted) void begin();
        }
      })();
    },
    async stop() {
      stopping.abort();
      await loop;
      await Promise.all(running);
    },
  };
}
