import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isoOrNull } from '../core/connection-status.ts';
import type { Credential, Settlement } from '../core/credential.ts';
import { idpHostOf } from '../core/credential.ts';
import type { AuthEventStore } from '../core/ports.ts';
import { ACTOR } from '../core/principal.ts';
import { isExpired } from '../core/token-set.ts';
import type { RefreshRequest, RefreshResult } from './api.ts';
import { notify, type SettleDeps } from './settle.ts';

/** The local verdict of design §4: expired, and nothing to refresh it with. Said as ours, not as the provider's. */
export async function endWithoutRefreshToken(
  deps: SettleDeps,
  credential: Credential,
  request: RefreshRequest,
): Promise<RefreshResult> {
  const { token, key, incarnation, generation } = credential;
  if (!token || !isExpired(token, deps.clock.now())) return { type: 'no_refresh_token' };
  const idp_host = idpHostOf(credential.binding);
  const detail = { reason: 'no_refresh_token', decided_by: 'platform' } as const;
  const settlement: Settlement = {
    key,
    fence: { by: 'generation', incarnation, generation },
    change: {
      type: 'revoked',
      revocation: { occurred_at: deps.clock.now(), reason: 'no_refresh_token', idp_host, decided_by: 'platform' },
    },
    events: [
      {
        event_type: 'refresh_failed_revoked',
        actor: request.actor,
        idp_host,
        detail: { ...detail, before_expires_at: isoOrNull(token.expires_at) },
      },
      { event_type: 'token_deleted_revoked', actor: request.actor, idp_host, detail },
    ],
  };
  const result = await deps.credentials.settle(settlement);
  if (!result.applied) return { type: 'current' };
  deps.log.info('token row deleted: cannot be refreshed', { connection: connectionLabel(key), idp_host });
  await notify(deps, key);
  const { revocation } = result.current;
  return revocation ? { type: 'revoked', revocation } : { type: 'gone' };
}

/** Newest first, an attempt is among the first few: nothing but failed connects comes between it and its repetition. */
const RECENT = 50;

async function isOnRecord(
  { events }: { events: Pick<AuthEventStore, 'list'> },
  key: ConnectionKey,
  attempt_id: string,
): Promise<boolean> {
  const recent = await events.list({ key, type: ['refresh_failed_transient'], limit: RECENT });
  return recent.some(({ detail }) => detail.attempt_id === attempt_id);
}

/**
 * An attempt that ended with its process left an open intent and no event: before the token is presented again, the
 * history says so (rule 16: each repeat follows a recorded ambiguous attempt).
 */
export async function tellInterrupted(
  deps: SettleDeps & { events: Pick<AuthEventStore, 'list'> },
  credential: Credential,
): Promise<void> {
  const { key, incarnation, generation, intent, failure, binding } = credential;
  if (intent === null || intent.given_back || (await isOnRecord(deps, key, intent.attempt_id))) return;
  const now = deps.clock.now();
  const { next_refresh_at: at, next_refresh_reason } = credential;
  await deps.credentials.settle({
    key,
    fence: { by: 'generation', incarnation, generation },
    change: {
      type: 'kept',
      failure: {
        type: 'transient',
        since: failure?.since ?? now,
        last_at: now,
        count: (failure?.count ?? 0) + 1,
        idp_error_code: null,
        error_class: 'ambiguous',
        ...(failure?.held_since === undefined ? {} : { held_since: failure.held_since }),
      },
      attempt_id: intent.attempt_id,
      intent: 'keep_open',
      schedule: { at: at ?? now, reason: next_refresh_reason ?? 'retry' },
    },
    events: [
      {
        event_type: 'refresh_failed_transient',
        actor: ACTOR.recovery,
        idp_host: idpHostOf(binding),
        detail: { error_class: 'ambiguous', ambiguous: true, step: 'interrupted', attempt_id: intent.attempt_id },
      },
    ],
  });
}
