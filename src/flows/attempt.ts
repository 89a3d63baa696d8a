import type { ConnectionConfig } from '../core/connection.ts';
import { isTokenIssue } from '../core/connection-status.ts';
import { type Credential, type CredentialSecrets, isClientCredentials } from '../core/credential.ts';
import { mayPresent } from '../core/intent-rules.ts';
import type {
  AttemptView,
  AuthEventStore,
  AuthorizationServer,
  ConnectionStore,
  CredentialStore,
  EscrowEntry,
} from '../core/ports.ts';
import { connectionProfile } from '../core/provider-profile.ts';
import type { Secret } from '../core/redact.ts';
import { tokenRequestClient, trustOf } from '../core/token-client.ts';
import type { TokenReply } from '../core/token-response.ts';
import type { TokenFacts } from '../core/token-set.ts';
import type { RefreshRequest, RefreshResult } from './api.ts';
import { endWithoutRefreshToken, tellInterrupted } from './attempt-verdicts.ts';
import type { ReplyKeeper } from './escrow.ts';
import { type ListeningDeps, withinDeadline } from './listening.ts';
import type { SettleDeps, Settled } from './settle.ts';

export type AttemptDeps = SettleDeps &
  ListeningDeps & {
    credentials: CredentialStore;
    connections: Pick<ConnectionStore, 'read'>;
    authorizationServer: Pick<AuthorizationServer, 'refresh' | 'clientCredentials'>;
    events: Pick<AuthEventStore, 'list'>;
    keeper: ReplyKeeper;
    self: { replica_id: string; boot_id: bigint };
  };

/** Why nothing is presented now, as a person reads it. */
const WHY = {
  leased: 'another attempt is under way',
  listening: 'the answer to the last attempt is still awaited',
  awaiting_owner: 'another replica may hold the answer to the last attempt',
  awaiting_access_token_end:
    'the outcome of the last attempt is unknown, so it is repeated when the access token is about to end',
} as const;

type Ready = {
  credential: Credential & { token: NonNullable<Credential['token']>; binding: NonNullable<Credential['binding']> };
  secrets: CredentialSecrets;
  /** null: the client obtains its tokens by itself (RFC 6749 §4.4). */
  refreshToken: Secret | null;
  /** null: no longer valid, so that nothing but what was bound at the consent is used. */
  config: ConnectionConfig | null;
  /** As stored, valid or not: what it says of its provider holds as far as it can be read. */
  typed: ConnectionConfig;
};

/** Asking twice costs nothing where no token is used up. */
const NOTHING_TO_SPEND = { rotation: 'none', honours_previous: true } as const;

/** A token this young, or in the first quarter of a shorter life, was hardly revoked; whoever refuses it refuses the next one, too. */
const FRESH_MS = 30_000;

function isFresh({ received_at, expires_at }: TokenFacts, now: number): boolean {
  const quarter = expires_at === null ? FRESH_MS : (expires_at - received_at) / 4;
  return now - received_at < Math.min(FRESH_MS, quarter);
}

function notNeeded(credential: Credential, request: RefreshRequest, now: number): RefreshResult | undefined {
  if (credential.state !== 'connected' || !credential.token || !credential.binding) return { type: 'not_connected' };
  if (request.generation !== undefined && credential.generation !== request.generation) return { type: 'current' };
  const notDue = credential.next_refresh_at === null || credential.next_refresh_at > now;
  if (request.reason === 'due' && notDue) return { type: 'current' };
  // Traffic does not hammer a server that has just failed; the operator's button may.
  const { failure, incident } = credential;
  const waits = notDue || incident !== null;
  if (failure && waits && (request.reason === 'tool_call' || request.reason === 'upstream_401')) {
    return { type: 'failed', failure };
  }
  return undefined;
}

/**
 * Only whoever may resolve the attempt moves its time: a stranger would put the owner off (rules 14, 15). But the row of an
 * owner that is silent for long comes up first at every look of the others: it waits, in steps, as the owner may come back.
 */
function putOffUntil(
  { self, settings, clock }: AttemptDeps,
  { credential, intent_owner }: AttemptView,
  until: number,
): number | null {
  if (credential.intent?.replica_id === self.replica_id) return until;
  if (intent_owner !== null && intent_owner.last_seen_age_ms < settings.owner_wait) return null;
  return Math.min(until, clock.now() + settings.refresh_interval);
}

/** Everything that must hold before the refresh token may be presented; else the answer to the caller. */
async function prepare(
  deps: AttemptDeps,
  view: AttemptView,
  request: RefreshRequest,
): Promise<{ ready: Ready } | { result: RefreshResult }> {
  const { credential, secrets } = view;
  const now = deps.clock.now();
  const answer = notNeeded(credential, request, now);
  if (answer) return { result: answer };
  const { key, incarnation, generation, token, binding } = credential;
  const connection = await deps.connections.read(key);
  const unreadable = connection?.issues.some((issue) => issue.path === 'config' || isTokenIssue(issue)) ?? true;
  if (!connection || !secrets || !token || !binding || unreadable) {
    // A row that cannot be used must not wedge the loop; it is listed with what is wrong.
    const until = now + deps.settings.misconfigured_backoff;
    await deps.credentials.postpone(key, incarnation, generation, until);
    return { result: { type: 'waiting', until, why: 'the stored configuration or token cannot be read' } };
  }
  const renewsItself = isClientCredentials(binding);
  if (!secrets.refresh_token && !renewsItself) {
    return { result: await endWithoutRefreshToken(deps, credential, request) };
  }
  // An upstream that refuses every token must not cost a rotation with each call.
  if (request.reason === 'upstream_401' && isFresh(token, now)) return { result: { type: 'current' } };
  const verdict = mayPresent({
    credential,
    intent_owner: view.intent_owner,
    self: { ...deps.self, listening: deps.listening },
    profile: renewsItself ? NOTHING_TO_SPEND : connectionProfile(connection.config, binding.token_endpoint),
    settings: deps.settings,
    now,
  });
  if (!verdict.may) {
    const until = putOffUntil(deps, view, verdict.until);
    if (until !== null) await deps.credentials.postpone(key, incarnation, generation, until);
    return { result: { type: 'waiting', until: verdict.until, why: WHY[verdict.why] } };
  }
  const ready: Ready = {
    credential: { ...credential, token, binding },
    secrets,
    refreshToken: renewsItself ? null : secrets.refresh_token,
    // A schema that grew stricter must not let a live token die: it needs no more than its binding.
    config: connection.issues.length === 0 ? connection.config : null,
    typed: connection.config,
  };
  return { ready };
}

/** What is never due by itself must become so once it is presented: else nobody would resolve it after a crash. */
async function ensureDue({ credentials, clock, settings }: AttemptDeps, { credential }: Ready): Promise<void> {
  if (credential.next_refresh_at !== null) return;
  const { key, incarnation, generation } = credential;
  await credentials.postpone(key, incarnation, generation, clock.now() + settings.listening_lease);
}

/** Claims the token by compare-and-set; false when somebody else did (rule 6) or the claim grew old (rule 7). */
async function claim(deps: AttemptDeps, { credential }: Ready, attempt_id: string): Promise<boolean> {
  const { clock, settings, self, credentials } = deps;
  const wall = clock.now();
  const monotonic = clock.monotonic();
  const { key, incarnation, generation, token, intent } = credential;
  try {
    const claimed = await credentials.claimIntent({
      key,
      incarnation,
      generation,
      expected_attempt_id: intent?.attempt_id ?? null,
      attempt_id,
      ...self,
      refresh_token_fingerprint: token.refresh_token_fingerprint,
    });
    if (!claimed) return false;
  } catch (error) {
    // Perhaps committed, its acknowledgement lost: nothing was sent, so nothing is ambiguous.
    await credentials.withdrawIntent(key, attempt_id).catch(() => undefined);
    throw error;
  }
  const late = clock.monotonic() - monotonic > settings.send_window || clock.now() - wall > settings.send_window;
  if (!late) return true;
  await credentials.withdrawIntent(key, attempt_id);
  return false;
}

function resultOf(settled: Settled | undefined, answered: boolean): RefreshResult {
  if (!settled) {
    const why = answered
      ? "the provider's answer is safe on this server until the database can be reached"
      : 'the provider did not answer, and the database cannot be reached';
    return { type: 'waiting', until: 0, why };
  }
  const { current } = settled;
  if (!current) return { type: 'gone' };
  if (settled.applied && settled.outcome.type === 'success') return { type: 'refreshed' };
  if (current.state === 'revoked' && current.revocation) return { type: 'revoked', revocation: current.revocation };
  if (!settled.applied) return { type: 'current' };
  return current.failure ? { type: 'failed', failure: current.failure } : { type: 'current' };
}

/** Sends, and waits at most the deadline; the attempt listens on and stores whatever comes later (rules 8, 9). */
async function present(deps: AttemptDeps, ready: Ready, request: RefreshRequest, id: string): Promise<RefreshResult> {
  const { clock, settings, keeper } = deps;
  const { credential, refreshToken, config, secrets } = ready;
  const client = tokenRequestClient(credential.binding, config, secrets.client_secret);
  const origin_of_trust = trustOf(client.binding, config);
  const sent_at = clock.now();
  const entryOf = (reply: TokenReply): EscrowEntry => ({
    attempt_id: id,
    purpose: 'refresh',
    key: credential.key,
    incarnation: credential.incarnation,
    parent_generation: credential.generation,
    consent_seq: null,
    ...deps.self,
    reply,
    sent_at,
    received_at: clock.now(),
    actor: request.actor,
    ...client,
    origin_of_trust,
    presented_refresh_token: refreshToken,
    ambiguous_before: credential.ambiguous || credential.intent !== null,
    before: {
      expires_at: credential.token.expires_at,
      refresh_expires_at: credential.token.refresh_expires_at,
      refresh_token_fingerprint: credential.token.refresh_token_fingerprint,
    },
    reason: request.reason === 'due' ? (credential.next_refresh_reason ?? 'retry') : request.reason,
  });
  let told = false;
  let answered = false;
  const how = {
    listen_ms: settings.late_listening,
    origin_of_trust,
    profile: connectionProfile(ready.typed, credential.binding.token_endpoint),
  };
  const { authorizationServer } = deps;
  const handled = (
    refreshToken === null
      ? authorizationServer.clientCredentials(client, how)
      : authorizationServer.refresh(client, { ...how, refresh_token: refreshToken })
  ).then((reply) => {
    answered = reply.type === 'answer';
    // That no answer came has been told at the deadline.
    if (told && !answered) return undefined;
    return keeper.keep(entryOf(reply), told ? undefined : ready.typed);
  });
  const first = await withinDeadline(deps, id, handled);
  if (first !== 'late') return resultOf(first, answered);
  told = true;
  return resultOf(await keeper.keep(entryOf({ type: 'unknown', error_class: 'timeout' })), false);
}

/** One attempt at one connection's token, from the check whether it is needed to the stored outcome. */
export async function runAttempt(deps: AttemptDeps, request: RefreshRequest): Promise<RefreshResult> {
  await deps.keeper.drain(request.key);
  const view = await deps.credentials.readForAttempt(request.key);
  if (!view) return { type: 'gone' };
  const prepared = await prepare(deps, view, request);
  if ('result' in prepared) return prepared.result;
  // Before the claim, which takes the place of what it tells of: no crash may come between the two.
  await tellInterrupted(deps, prepared.ready.credential);
  await ensureDue(deps, prepared.ready);
  const attempt_id = deps.random.uuid();
  if (!(await claim(deps, prepared.ready, attempt_id))) {
    return { type: 'waiting', until: deps.clock.now() + 1_000, why: WHY.leased };
  }
  return present(deps, prepared.ready, request, attempt_id);
}
