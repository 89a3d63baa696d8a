import type { AuthEventDetail, NewAuthEvent, TokenTypeHint } from '../core/auth-event.ts';
import { TOKEN_TYPE_HINTS } from '../core/auth-event.ts';
import { connectionLabel } from '../core/connection.ts';
import { isoOrNull } from '../core/connection-status.ts';
import type { Credential } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import type {
  AuthEventStore,
  AuthorizationServer,
  Clock,
  ConsentStore,
  CredentialStore,
  EscrowEntry,
  Fingerprint,
  Locker,
  Log,
  PendingRevocation,
  Random,
  RevocationReply,
  RevocationStore,
  UnreadableRevocation,
} from '../core/ports.ts';
import { backoff } from '../core/refresh-policy.ts';
import type { TokenSet } from '../core/token-set.ts';

export type RevokerDeps = {
  authorizationServer: Pick<AuthorizationServer, 'revoke'>;
  revocations: RevocationStore;
  credentials: Pick<CredentialStore, 'read'>;
  consents: Pick<ConsentStore, 'pending'>;
  events: Pick<AuthEventStore, 'append'>;
  fingerprint: Fingerprint;
  locker: Locker;
  clock: Clock;
  random: Random;
  log: Log;
};

const MINUTE = 60_000;
const DAY = 86_400_000;
/** Longer than one attempt at both tokens takes; then another replica may try. */
const LEASE_MS = 2 * MINUTE;
/** The pauses between attempts: from half a minute, doubling, to six hours. */
const PAUSES = { backoff_min: MINUTE, backoff_max: 6 * 60 * MINUTE };
/** A grant that its server would not end for so long is left to its own lifetime, and the history says so. */
const GIVE_UP_MS = 30 * DAY;
/** A consent that is begun is finished, or void, within ten minutes. */
const CONSENT_PAUSE_MS = MINUTE;
const LOOK_MS = 5 * MINUTE;
const MIN_PAUSE_MS = 1_000;
const BATCH = 8;
/** Any number that is no connection's key; the same on every replica, so that one of them does this at a time. */
const REVOKE_LOCK = 0x72_65_76_6f_6b_65n;

/** `ended`: nothing more is done about it, and the history says why. */
export type RevocationState = 'revoked' | 'pending' | 'ended';

export interface Revoker {
  /** The first attempt at what has just been listed; undefined when it is not there (nothing to revoke, or taken). */
  attempt(id: string): Promise<RevocationState | undefined>;
  /** A token that arrived too late to be stored (protocol rule 20): listed before its escrow may be cleared. */
  superseded(entry: EscrowEntry, tokens: TokenSet, current: Credential | undefined): Promise<void>;
  /** Attempts what is due; resolves when all of it has been tried once. */
  runOnce(): Promise<{ attempted: number }>;
  start(): void;
  stop(): Promise<void>;
}

type Failed = Exclude<RevocationReply, { type: 'revoked' }>;

function failureDetail(reply: Failed): AuthEventDetail {
  return {
    ...(reply.type === 'failed' ? { error_class: reply.error_class } : {}),
    ...(reply.idp_error_code === null ? {} : { idp_error_code: reply.idp_error_code }),
    ...(reply.http_status === null ? {} : { http_status: reply.http_status }),
  };
}

/**
 * Ends dropped tokens at their authorization server (RFC 7009): the refresh token first, then the access token, again and
 * again until it is confirmed. What is to be revoked lies encrypted in the database, so that neither a crash nor an
 * outage of the provider makes it forgotten.
 */
export function createRevoker(deps: RevokerDeps): Revoker {
  const { authorizationServer, revocations, credentials, consents, fingerprint, locker, clock, log } = deps;
  const stopping = new AbortController();
  let wake = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  type Subject = Pick<PendingRevocation, 'key' | 'actor' | 'binding'>;
  const event = (
    { actor, binding }: Omit<Subject, 'key'>,
    event_type: NewAuthEvent['event_type'],
    detail: AuthEventDetail,
  ): NewAuthEvent => ({ event_type, actor, idp_host: idpHostOf(binding), detail });

  /** What is to be said of one token beyond its sort; only the refresh token has a mark in the history. */
  const about = (one: PendingRevocation, token_type_hint: TokenTypeHint): AuthEventDetail => ({
    token_type_hint,
    ...(token_type_hint === 'refresh_token' && one.refresh_token
      ? { refresh_token_fingerprint: fingerprint(one.refresh_token) }
      : {}),
  });

  async function failed(one: PendingRevocation, hint: TokenTypeHint, reply: Failed): Promise<RevocationState> {
    const now = clock.now();
    const detail = { ...about(one, hint), ...failureDetail(reply) };
    log.warn('a token could not be revoked at the identity provider', {
      connection: connectionLabel(one.key),
      idp_host: idpHostOf(one.binding),
      attempts: one.attempts,
      ...failureDetail(reply),
    });
    if (now - one.created_at >= GIVE_UP_MS) {
      const ended = event(one, 'token_revocation_failed', { ...detail, reason: 'given_up' });
      await revocations.finish(one.id, 'all', one.key, [ended]);
      return 'ended';
    }
    const retry_after = reply.type === 'failed' ? reply.retry_after : null;
    const at = now + backoff(one.attempts, PAUSES, deps.random.fraction(), retry_after);
    await revocations.postpone(one.id, at);
    // Once is enough: a history of retries would hide what matters.
    if (one.attempts === 1) {
      const first = event(one, 'token_revocation_failed', { ...detail, reason: 'retried', retry_at: isoOrNull(at) });
      await deps.events.append(one.key, [first]);
    }
    wake.abort();
    return 'pending';
  }

  /** Rule 20: revoking could end the whole grant, and with it a newer token of this connection, here or on its way. */
  async function held(one: PendingRevocation): Promise<RevocationState | undefined> {
    const credential = await credentials.read(one.key);
    if (credential?.state === 'connected') {
      const ended = event(one, 'token_revocation_failed', { reason: 'connected_again' });
      await revocations.finish(one.id, 'all', one.key, [ended]);
      return 'ended';
    }
    const now = clock.now();
    if (!(await consents.pending(one.key, now))) return undefined;
    await revocations.postpone(one.id, now + CONSENT_PAUSE_MS);
    return 'pending';
  }

  async function revoke(one: PendingRevocation): Promise<RevocationState> {
    let state: RevocationState = 'revoked';
    for (const hint of TOKEN_TYPE_HINTS) {
      const token = one[hint];
      if (token === null) continue;
      const waits = await held(one);
      if (waits) return waits;
      const { origin_of_trust } = one;
      const reply = await authorizationServer.revoke(one, { token, token_type_hint: hint, origin_of_trust });
      if (reply.type === 'failed') return failed(one, hint, reply);
      const done = reply.type === 'revoked';
      // With its refresh token the grant has ended (RFC 7009 §2.1): an access token that is a JWT cannot be called back.
      const grantEnded = hint === 'access_token' && one.refresh_token !== null && state === 'revoked';
      if (!done && !grantEnded) state = 'ended';
      const detail = { ...about(one, hint), ...(done ? {} : { ...failureDetail(reply), reason: 'unsupported' }) };
      const told = event(one, done ? 'token_revoked_upstream' : 'token_revocation_failed', detail);
      await revocations.finish(one.id, hint, one.key, [told]);
    }
    return state;
  }

  async function unreadable(one: UnreadableRevocation): Promise<RevocationState> {
    const now = clock.now();
    if (now - one.created_at < GIVE_UP_MS) {
      await revocations.postpone(one.id, now + PAUSES.backoff_max);
      return 'pending';
    }
    const ended = event(one, 'token_revocation_failed', { reason: 'unreadable' });
    await revocations.finish(one.id, 'all', one.key, [ended]);
    log.warn('a token that was to be revoked can still not be decrypted and is dropped', {
      connection: connectionLabel(one.key),
    });
    return 'ended';
  }

  async function claim(limit: number, id?: string): Promise<RevocationState[]> {
    const now = clock.now();
    const due = await revocations.claimDue({ now, lease_until: now + LEASE_MS, limit, ...(id ? { id } : {}) });
    return Promise.all(due.map((one) => ('unreadable' in one ? unreadable(one) : revoke(one))));
  }

  async function runOnce(): Promise<{ attempted: number }> {
    if (!(await locker.tryLock(REVOKE_LOCK))) return { attempted: 0 };
    let attempted = 0;
    try {
      for (;;) {
        const { length } = await claim(BATCH);
        attempted += length;
        if (length < BATCH || stopping.signal.aborted) return { attempted };
      }
    } finally {
      await locker.unlock(REVOKE_LOCK);
    }
  }

  async function pause(): Promise<void> {
    const due = await revocations.nextDueAt().catch(() => null);
    const ms = due === null ? LOOK_MS : Math.min(Math.max(due - clock.now(), MIN_PAUSE_MS), LOOK_MS);
    await clock.sleep(ms, AbortSignal.any([stopping.signal, wake.signal]));
    if (wake.signal.aborted) wake = new AbortController();
  }

  const revoker: Revoker = {
    runOnce,

    async attempt(id) {
      const [state] = await claim(1, id);
      return state;
    },

    async superseded(entry, tokens, current) {
      // Nothing is listed while a consent lives here: its grant may be the same one.
      if (current?.state === 'connected') return;
      const { key, attempt_id, binding } = entry;
      if (binding.revocation_endpoint === null) {
        const told = event(entry, 'token_revocation_failed', { reason: 'unsupported', attempt_id });
        await deps.events.append(key, [told]);
        return;
      }
      const { refresh_token = null, access_token } = tokens;
      await revocations.enqueue({ ...entry, id: attempt_id, refresh_token, access_token });
      await revoker.attempt(attempt_id).catch((error: unknown) => {
        log.warn('a late token could not be revoked yet; it is tried again', {
          connection: connectionLabel(key),
          error,
        });
      });
    },

    start() {
      loop = (async () => {
        while (!stopping.signal.aborted) {
          await runOnce().catch((error: unknown) =>
            log.warn('tokens that are to be revoked could not be read; tried again', { error }),
          );
          if (!stopping.signal.aborted) await pause();
        }
      })();
    },

    async stop() {
      stopping.abort();
      await loop;
    },
  };
  return revoker;
}
