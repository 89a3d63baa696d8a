import type { ConnectionConfig, ConnectionKey } from '../core/connection.ts';
import { connectionLabel } from '../core/connection.ts';
import { idpHostOf } from '../core/credential.ts';
import type {
  AuthEventStore,
  ConnectionStore,
  Escrow,
  EscrowEntry,
  RegistrationStore,
  ReplicaStore,
} from '../core/ports.ts';
import { forgetRefused } from './dead-registration.ts';
import type { Revoker } from './revocation.ts';
import { type SettleDeps, type Settled, settleReply } from './settle.ts';

export type EscrowDeps = SettleDeps & {
  escrow: Escrow;
  connections: Pick<ConnectionStore, 'read'>;
  replicas: ReplicaStore;
  registrations: Pick<RegistrationStore, 'forget'>;
  events: Pick<AuthEventStore, 'append'>;
  revoker: Revoker;
  self: { replica_id: string; boot_id: bigint };
};

/** How long a reply that could be stored nowhere waits before it is tried again. */
const RETRY_MS = 1_000;

/** Keeps each reply safe from the moment it arrives until the database has confirmed it (protocol rules 10 to 13). */
export interface ReplyKeeper {
  /**
   * Escrows, settles, clears. Undefined: safe in the escrow, but the database cannot be reached yet.
   * @param known the connection's configuration, where it was read for this very request; else it is read
   */
  keep(entry: EscrowEntry, known?: ConnectionConfig): Promise<Settled | undefined>;
  /**
   * Replays what lies in the escrow of one connection, before anything else is presented for it (rule 5); skips attempts
   * that are being settled right now.
   */
  drain(key: ConnectionKey): Promise<void>;
  /**
   * At start-up, and with each tick until it succeeded: drains everything and records that this replica holds nothing of
   * earlier boots.
   */
  recover(): Promise<void>;
  /** Replies that are not settled yet: a graceful stop waits for them. */
  readonly unsaved: number;
  /** The process ends: says loudly which replies were never written anywhere (rule 12). */
  abandon(): Promise<void>;
}

export function createReplyKeeper(deps: EscrowDeps): ReplyKeeper {
  const { escrow, clock, log } = deps;
  const active = new Set<string>();
  let unsaved = 0;
  const inMemoryOnly = new Map<string, EscrowEntry>();
  /** How often an entry was left in the escrow: what comes in while it is drained is not marked clean with it. */
  let left = 1;
  let drainedOf = 0;
  let recorded = false;

  const configOf = async (key: ConnectionKey): Promise<ConnectionConfig | null> =>
    (await deps.connections.read(key))?.config ?? null;

  async function store(entry: EscrowEntry): Promise<boolean> {
    try {
      await escrow.write(entry);
      inMemoryOnly.delete(entry.attempt_id);
      return true;
    } catch (error) {
      log.error('a token reply could not be written to the escrow; it is held in memory and retried', {
        connection: connectionLabel(entry.key),
        attempt_id: entry.attempt_id,
        error,
      });
      inMemoryOnly.set(entry.attempt_id, entry);
      return false;
    }
  }

  /** Rule 12: the file goes only after a confirmed commit, a confirmed identical row, or a confirmed supersession. */
  async function finish(entry: EscrowEntry, settled: Settled): Promise<void> {
    if (!settled.applied && settled.outcome.type === 'success') {
      await deps.revoker.superseded(entry, settled.outcome.token_set, settled.current);
    }
    // An attempt whose deadline passed may have its late answer on disk by now: only an answer clears an answer.
    if (entry.reply.type === 'answer') await escrow.clear(entry.attempt_id);
    const { outcome } = settled;
    if (outcome.type === 'misconfigured') {
      await forgetRefused(deps, entry.key, entry.binding, outcome.idp_error_code);
    }
  }

  async function keep(entry: EscrowEntry, known?: ConnectionConfig): Promise<Settled | undefined> {
    active.add(entry.attempt_id);
    unsaved += 1;
    let stored = entry.reply.type !== 'answer';
    try {
      stored ||= await store(entry);
      for (;;) {
        try {
          const settled = await settleReply(deps, entry, known ?? (await configOf(entry.key)), false);
          await finish(entry, settled).catch((error) => {
            left += 1;
            log.warn('an escrow file could not be removed; it will be recognised and dropped', { error });
          });
          return settled;
        } catch (error) {
          log.warn('the outcome of a refresh could not be stored yet', {
            connection: connectionLabel(entry.key),
            attempt_id: entry.attempt_id,
            error,
          });
          if (stored) {
            left += 1;
            return undefined;
          }
        }
        await clock.sleep(RETRY_MS);
        stored = await store(entry);
      }
    } finally {
      unsaved -= 1;
      active.delete(entry.attempt_id);
      inMemoryOnly.delete(entry.attempt_id);
    }
  }

  /** Whoever comes upon an entry that is being replayed waits for it: rule 5 asks that it be done, not that it be done twice. */
  const replays = new Map<string, Promise<void>>();

  function replay(entry: EscrowEntry): Promise<void> {
    const running = replays.get(entry.attempt_id);
    if (running) return running;
    const run = replayOnce(entry).finally(() => replays.delete(entry.attempt_id));
    replays.set(entry.attempt_id, run);
    return run;
  }

  async function replayOnce(entry: EscrowEntry): Promise<void> {
    const settled = await settleReply(deps, entry, await configOf(entry.key), true);
    log.info('a token reply was replayed from the escrow', {
      connection: connectionLabel(entry.key),
      attempt_id: entry.attempt_id,
      applied: settled.applied,
    });
    await finish(entry, settled);
  }

  async function drain(key: ConnectionKey): Promise<void> {
    if (drainedOf === left) return;
    for (const entry of (await escrow.list()).entries) {
      const chosen = connectionLabel(entry.key) === connectionLabel(key) && !active.has(entry.attempt_id);
      if (chosen) await replay(entry);
    }
  }

  /** One entry that cannot be replayed blocks its own connection (rule 5) and no other. */
  async function drainAll(): Promise<boolean> {
    if (drainedOf === left) return true;
    const of = left;
    const { entries, unreadable } = await escrow.list();
    // Rule 15: whoever cannot read its own escrow must not claim to hold nothing.
    let complete = unreadable === 0;
    for (const entry of entries) {
      if (active.has(entry.attempt_id)) {
        // Its own flight settles it, or counts it as left.
        continue;
      }
      try {
        await replay(entry);
      } catch (error) {
        complete = false;
        log.warn('a token reply in the escrow could not be replayed yet; it is kept and tried again', {
          connection: connectionLabel(entry.key),
          attempt_id: entry.attempt_id,
          error,
        });
      }
    }
    if (complete) drainedOf = of;
    return complete;
  }

  return {
    keep,
    drain,
    async recover() {
      if (!(await drainAll()) || recorded) return;
      await deps.replicas.drained(deps.self.replica_id, deps.self.boot_id);
      recorded = true;
    },
    get unsaved() {
      return unsaved;
    },
    async abandon() {
      for (const { key, attempt_id, actor, binding } of inMemoryOnly.values()) {
        log.error('a token reply is lost: neither the escrow nor the database could be written before the end', {
          connection: connectionLabel(key),
          attempt_id,
        });
        const idp_host = idpHostOf(binding);
        await deps.events
          .append(key, [{ event_type: 'refresh_rotation_persistence_failed', actor, idp_host, detail: { attempt_id } }])
          .catch(() => undefined);
      }
    },
  };
}
