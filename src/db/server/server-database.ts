import { AppError } from '../../core/errors.ts';
import type { Clock, Log, Notifier, NotifyChannel, Random } from '../../core/ports.ts';
import { grouped } from '../grouped.ts';
import { describeTarget } from './errors.ts';
import { LockSession } from './lock-session.ts';
import { openPool, ServerSource } from './pool.ts';
import { proveServer } from './proof.ts';

export type ServerDatabase = { source: ServerSource; session: LockSession; notifier: Notifier };

export type ServerOptions = {
  databaseUrl: string;
  clock: Clock;
  log: Log;
  random: Random;
  onLockSessionLost?: () => void;
};

/** Opens the pool and the lock session, and proves that they are what the protocol needs. */
export async function openServer(options: ServerOptions): Promise<ServerDatabase> {
  const { databaseUrl, clock, log, random } = options;
  refuseBadUrl(databaseUrl);
  const target = describeTarget(databaseUrl);
  const session = await LockSession.open({ databaseUrl, clock, log, onLost: options.onLockSessionLost });
  const source = new ServerSource(openPool(databaseUrl, log), target);
  try {
    const proofKey = Buffer.from(random.bytes(8)).readBigInt64BE();
    await proveServer({ source, session, target, clock, log, proofKey });
  } catch (error) {
    await Promise.allSettled([session.close(), source.close()]);
    throw error;
  }
  return { source, session, notifier: notifierOf(source, session, log) };
}

function refuseBadUrl(databaseUrl: string): void {
  if (/^postgres(ql)?:\/\//.test(databaseUrl) && URL.canParse(databaseUrl)) return;
  throw new AppError(
    'invalid_config',
    'DATABASE_URL is not the URL of a PostgreSQL database. It looks like postgres://user:password@host:5432/database.',
  );
}

type Notice = { channel: NotifyChannel; payload: string };

const MOST_NOTICES = 64;

function notifierOf(source: ServerSource, session: LockSession, log: Log): Notifier {
  const publish = grouped<Notice, void>(
    async (notices) => {
      const pooled = await source.acquire();
      try {
        await pooled.query(
          'select pg_notify(notice.channel, notice.payload) from jsonb_to_recordset($1::jsonb) as notice(channel text, payload text)',
          [JSON.stringify(notices)],
        );
      } finally {
        pooled.release();
      }
      return notices.map(() => () => undefined);
    },
    { most: MOST_NOTICES },
  );
  return {
    publish: (channel, payload) => publish({ channel, payload }),
    subscribe(channel, listener) {
      let end: (() => void) | undefined;
      let ended = false;
      session.listen(channel, listener).then(
        (stop) => {
          end = stop;
          if (ended) stop();
        },
        () =>
          log.warn('could not listen for changes of other replicas; trying again with the next session', { channel }),
      );
      return () => {
        ended = true;
        end?.();
      };
    },
  };
}
