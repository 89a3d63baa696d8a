import type { AuthEventDetail, NewAuthEvent } from '../core/auth-event.ts';
import { type ConnectionConfig, type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isoOrNull } from '../core/connection-status.ts';
import type { Credential, Settlement, SettleResult, TokenChange } from '../core/credential.ts';
import { idpHostOf, isClientCredentials } from '../core/credential.ts';
import { gradeGrant } from '../core/grant-grade.ts';
import type { EscrowEntry } from '../core/ports.ts';
import { type RefreshOutcome, refreshOutcome } from '../core/refresh-outcome.ts';
import { readTokenReply } from '../core/token-response.ts';
import type { TokenSet } from '../core/token-set.ts';
import { type Weighed, weigh } from './issuer.ts';
import {
  type Context,
  deadlineOf,
  deadlinePassed,
  pauseAfter,
  profileOf,
  type SettleDeps,
  scheduleOf,
  tokenFingerprint,
} from './settle-schedule.ts';

export type { SettleDeps } from './settle-schedule.ts';

/** What became of a reply, for its caller. */
export type Settled = {
  outcome: RefreshOutcome;
  /** Whether the row now holds what the reply brought (also when an earlier try of ours had stored it already). */
  applied: boolean;
  current: Credential | undefined;
};

function event(context: Context, event_type: NewAuthEvent['event_type'], detail: AuthEventDetail): NewAuthEvent {
  const { entry } = context;
  return { event_type, actor: entry.actor, idp_host: idpHostOf(entry.binding), detail };
}

function refreshDetail({ entry }: Context): AuthEventDetail {
  return {
    reason: entry.reason,
    attempt_id: entry.attempt_id,
    duration_ms: entry.received_at - entry.sent_at,
    before_expires_at: isoOrNull(entry.before.expires_at),
    before_refresh_expires_at: isoOrNull(entry.before.refresh_expires_at),
    before_refresh_token_fingerprint: entry.before.refresh_token_fingerprint,
  };
}

function refreshed(context: Context, tokenSet: TokenSet, { incident }: Weighed): Settlement {
  const { entry, replayed } = context;
  const fingerprint = tokenFingerprint(context, tokenSet);
  const deadline = deadlineOf(context, tokenSet);
  const detail: AuthEventDetail = {
    ...refreshDetail(context),
    after_expires_at: isoOrNull(tokenSet.expires_at),
    after_refresh_expires_at: isoOrNull(deadline.refresh_expires_at),
    rotated_refresh: fingerprint !== entry.before.refresh_token_fingerprint,
    refresh_token_fingerprint: fingerprint,
    ...(incident ? { incident } : {}),
  };
  return {
    key: entry.key,
    fence: { by: 'lineage', incarnation: entry.incarnation, parent_generation: entry.parent_generation },
    change: {
      type: 'refreshed',
      token_set: tokenSet,
      attempt_id: entry.attempt_id,
      sent_at: entry.sent_at,
      refresh_token: tokenSet.refresh_token ?? entry.presented_refresh_token,
      refresh_token_fingerprint: fingerprint,
      refresh_deadline_fixed: deadline.fixed,
      schedule: scheduleOf(context, tokenSet),
    },
    events: [event(context, replayed ? 'rotation_recovered' : 'refresh_succeeded', detail)],
  };
}

function connected(context: Context, tokenSet: TokenSet): Settlement {
  const { entry } = context;
  const fingerprint = tokenFingerprint(context, tokenSet);
  const consent_seq = entry.consent_seq ?? 0n;
  const scope = tokenSet.scope ?? entry.binding.scope;
  const has_refresh_token = fingerprint !== null;
  const facts = { ...tokenSet, scope, has_refresh_token, authenticated_at: tokenSet.received_at };
  const grade = isClientCredentials(entry.binding) ? [] : gradeGrant(facts, profileOf(context));
  return {
    key: entry.key,
    fence: { by: 'consent', incarnation: entry.incarnation, consent_seq },
    change: {
      type: 'connected',
      token_set: { ...tokenSet, scope },
      attempt_id: entry.attempt_id,
      consent_seq,
      binding: entry.binding,
      client_secret: entry.client_secret,
      refresh_token_fingerprint: fingerprint,
      authenticated_by: entry.actor,
      schedule: scheduleOf(context, tokenSet),
    },
    events: [
      event(context, 'connect_completed', {
        scope,
        expires_at: isoOrNull(tokenSet.expires_at),
        refresh_expires_at: isoOrNull(tokenSet.refresh_expires_at),
        has_refresh_token,
        ...(grade.length === 0 ? {} : { grade }),
        refresh_token_fingerprint: fingerprint,
        duration_ms: entry.received_at - entry.sent_at,
        attempt_id: entry.attempt_id,
      }),
    ],
  };
}

/** A failure that keeps the token; a refusal that is held is one, too. */
function kept(
  context: Context,
  outcome: Exclude<RefreshOutcome, { type: 'success' }>,
  credential: Credential,
  { hold, incident }: Weighed,
): Settlement {
  const { deps, entry } = context;
  const now = deps.clock.now();
  const misconfigured = outcome.type === 'misconfigured';
  const { failure } = credential;
  const count = (failure?.count ?? 0) + 1;
  const at = hold ? hold.retry_at : now + pauseAfter(context, outcome, count, incident);
  const ambiguous = outcome.type === 'transient' && outcome.ambiguous;
  const error_class = outcome.type === 'transient' ? outcome.error_class : 'structured';
  const held_since = hold?.held_since ?? failure?.held_since;
  const change: TokenChange = {
    type: 'kept',
    failure: {
      type: misconfigured ? 'misconfigured' : 'transient',
      since: failure?.since ?? now,
      last_at: now,
      count,
      idp_error_code: outcome.idp_error_code,
      error_class,
      ...(held_since === undefined ? {} : { held_since }),
    },
    attempt_id: entry.attempt_id,
    intent: ambiguous ? 'keep_open' : 'close',
    schedule: { at, reason: 'retry' },
  };
  const detail: AuthEventDetail = {
    ...refreshDetail(context),
    error_class: ambiguous ? 'ambiguous' : error_class,
    retry_at: isoOrNull(at),
    ...(ambiguous ? { ambiguous: true, step: error_class } : {}),
    ...(outcome.idp_error_code === null ? {} : { idp_error_code: outcome.idp_error_code }),
    ...(outcome.http_status === null ? {} : { http_status: outcome.http_status }),
    ...(hold ? { held: true } : {}),
    ...(incident ? { incident } : {}),
  };
  return {
    key: entry.key,
    fence: { by: 'generation', incarnation: entry.incarnation, generation: entry.parent_generation },
    change,
    events: [event(context, misconfigured ? 'refresh_failed_misconfigured' : 'refresh_failed_transient', detail)],
  };
}

function revoked(
  context: Context,
  outcome: Extract<RefreshOutcome, { type: 'revoked' }>,
  { incident }: Weighed,
): Settlement {
  const { deps, entry } = context;
  const { reason, idp_error_code, http_status } = outcome;
  const idp_host = idpHostOf(entry.binding);
  const detail: AuthEventDetail = {
    ...refreshDetail(context),
    idp_error_code,
    http_status,
    decided_by: 'idp',
    ...(incident ? { incident } : {}),
  };
  return {
    key: entry.key,
    fence: { by: 'generation', incarnation: entry.incarnation, generation: entry.parent_generation },
    change: {
      type: 'revoked',
      revocation: { occurred_at: deps.clock.now(), reason, idp_host, decided_by: 'idp' },
    },
    events: [
      event(context, 'refresh_failed_revoked', detail),
      event(context, 'token_deleted_revoked', {
        reason,
        decided_by: 'idp',
        idp_error_code,
        attempt_id: entry.attempt_id,
      }),
    ],
  };
}

function settlementOf(
  context: Context,
  outcome: RefreshOutcome,
  credential: Credential,
  weighed: Weighed,
): Settlement | undefined {
  const connecting = context.entry.purpose === 'connect';
  if (outcome.type === 'success') {
    return connecting ? connected(context, outcome.token_set) : refreshed(context, outcome.token_set, weighed);
  }
  // A failed code exchange changes no token: the caller records `connect_failed`.
  if (connecting) return undefined;
  if (outcome.type === 'revoked' && weighed.hold === null) return revoked(context, outcome, weighed);
  return kept(context, outcome, credential, weighed);
}

/**
 * There is no grant that could be dead: what is refused is the client. A refresh token that is given against the RFC is
 * left alone, since the next token is obtained as this one was.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4.3
 */
function ofClientCredentials(outcome: RefreshOutcome): RefreshOutcome {
  if (outcome.type === 'success') {
    const { refresh_token: _none, ...token_set } = outcome.token_set;
    return { type: 'success', token_set: { ...token_set, refresh_expires_at: null } };
  }
  if (outcome.type !== 'revoked') return outcome;
  const { idp_error_code, http_status } = outcome;
  return { type: 'misconfigured', idp_error_code, http_status, retry_after: null };
}

function outcomeOf(context: Context): RefreshOutcome {
  const { entry } = context;
  const answer = readTokenReply(entry.reply, entry.received_at);
  const outcome = refreshOutcome(answer, {
    profile: profileOf(context),
    ambiguous_before: entry.ambiguous_before,
    deadline_passed: deadlinePassed(context),
  });
  return isClientCredentials(entry.binding) ? ofClientCredentials(outcome) : outcome;
}

function tell(deps: SettleDeps, entry: EscrowEntry, outcome: RefreshOutcome, result: SettleResult): void {
  if (!result.applied) return;
  const fields = { connection: connectionLabel(entry.key), idp_host: idpHostOf(entry.binding) };
  if (outcome.type === 'revoked') {
    deps.log.info('token row deleted: refresh rejected by IdP', { ...fields, reason: outcome.reason });
  } else if (outcome.type === 'misconfigured') {
    deps.log.warn('refresh refused: the client is misconfigured; the token is kept', {
      ...fields,
      idp_error_code: outcome.idp_error_code,
    });
  }
}

/** What is committed is committed: a notice that cannot be sent costs others a look at the row, not us the outcome. */
export async function notify(deps: Pick<SettleDeps, 'notifier' | 'log'>, key: ConnectionKey): Promise<void> {
  await deps.notifier.publish('credentials', connectionLabel(key)).catch((error: unknown) => {
    deps.log.warn('other replicas could not be told of a new token; they find it on the row', { error });
  });
}

/**
 * The one function in which a reply of a token endpoint changes a token, whether it has just arrived or was found in
 * the escrow: reads it, decides by the total table, and writes token state and events in one transaction.
 *
 * @param replayed the reply was found in the escrow, so the history says `rotation_recovered`
 * @throws AppError `database_unavailable`: nothing was written, or the acknowledgement was lost; the same call may be
 *   repeated, because an attempt that is already on the row is recognised (protocol rule 11).
 */
export async function settleReply(
  deps: SettleDeps,
  entry: EscrowEntry,
  config: ConnectionConfig | null,
  replayed: boolean,
): Promise<Settled> {
  const credential = await deps.credentials.read(entry.key);
  const context: Context = { deps, entry, config, replayed, credential };
  const outcome = outcomeOf(context);
  if (!credential || credential.incarnation !== entry.incarnation)
    return { outcome, applied: false, current: credential };
  if (credential.settled_attempt_id === entry.attempt_id) return { outcome, applied: true, current: credential };
  const weighed = await weigh(context, outcome, credential);
  const settlement = settlementOf(context, outcome, credential, weighed);
  if (!settlement) return { outcome, applied: false, current: credential };
  const result = await deps.credentials.settle(settlement);
  if (!weighed.hold) tell(deps, entry, outcome, result);
  if (result.applied) await notify(deps, entry.key);
  const { current } = result;
  return { outcome, applied: result.applied || current?.settled_attempt_id === entry.attempt_id, current };
}
