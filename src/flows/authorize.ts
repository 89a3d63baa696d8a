import type { AuthEventDetail, NewAuthEvent } from '../core/auth-event.ts';
import { originOfTrust, readAuthorizationResponse } from '../core/authorization-request.ts';
import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { isoOrNull } from '../core/connection-status.ts';
import { idpHostOf } from '../core/credential.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { AuthEventStore, ConsentStore, PendingConsent } from '../core/ports.ts';
import { connectionProfile } from '../core/provider-profile.ts';
import { Secret } from '../core/redact.ts';
import type { AuthorizeFlow, CallbackResult } from './api.ts';
import { askedByPerson, authorizationError, EXPIRED, exchangeFailure, PROBLEMS, refusal } from './connect-failure.ts';
import { buildConsent, type ConsentRequestDeps } from './consent-request.ts';
import { forgetRefused } from './dead-registration.ts';
import type { ReplyKeeper } from './escrow.ts';
import { exchange } from './exchange.ts';
import type { ListeningDeps } from './listening.ts';
import type { SettleDeps } from './settle.ts';

export type AuthorizeDeps = SettleDeps &
  ConsentRequestDeps &
  ListeningDeps & {
    consents: ConsentStore;
    events: AuthEventStore;
    keeper: ReplyKeeper;
    self: { replica_id: string; boot_id: bigint };
  };

/** OAuth 2.1 and MCP: a state lives at most ten minutes. */
const STATE_LIFETIME_MS = 600_000;
const STATE_BYTES = 32;

const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

/** Only a path on our own site may be returned to: no scheme, no host, no backslash tricks. */
export function safeReturnUrl(url: string | undefined, key: ConnectionKey): string {
  const fallback = `/connections/${encodeURIComponent(key.kind)}/${encodeURIComponent(key.name)}`;
  if (!url || !/^\/(?![/\\])[^\\\s\p{Cc}]*$/u.test(url)) return fallback;
  const base = 'http://site.invalid';
  return URL.canParse(url, base) && new URL(url, base).origin === base ? url : fallback;
}

/** A person connects: from the click, by way of the provider's own page, to the stored token. */
export function createAuthorize(deps: AuthorizeDeps): AuthorizeFlow {
  const { consents, events, clock, random, settings, log } = deps;

  /** Until then a late token of an older consent is not revoked upstream: it could end the grant that is on its way. */
  async function ended(state: string): Promise<void> {
    await consents
      .finish(state)
      .catch((error: unknown) => log.debug('a consent could not be marked as ended', { error }));
  }

  /** Saved anew while the server was being discovered: what was found out is about the old destination. */
  async function unchangedSince(state: string, key: ConnectionKey, revision: bigint): Promise<void> {
    if ((await deps.connections.read(key))?.revision === revision) return;
    await ended(state);
    throw new AppError('conflict', `${connectionLabel(key)} was changed in the meantime. Click Connect again.`);
  }

  async function record(consent: PendingConsent, detail: AuthEventDetail): Promise<void> {
    const entry: NewAuthEvent = {
      event_type: 'connect_failed',
      actor: consent.actor,
      idp_host: idpHostOf(consent.binding),
      detail,
    };
    await events.append(consent.key, [entry]);
  }

  async function fail(
    consent: PendingConsent,
    code: string,
    message: string,
    detail: AuthEventDetail,
  ): Promise<CallbackResult> {
    await record(consent, detail);
    return refusal(consent, code, message);
  }

  async function finish(
    consent: PendingConsent,
    state: string,
    code: string,
    consent_seq: bigint,
  ): Promise<CallbackResult> {
    const host = idpHostOf(consent.binding) ?? 'the identity provider';
    const connection = await deps.connections.read(consent.key);
    if (connection?.incarnation !== consent.incarnation) return EXPIRED;
    const { binding, client_secret, code_verifier, redirect_uri } = consent;
    const origin_of_trust = originOfTrust(connection.config);
    const profile = connectionProfile(connection.config, binding.token_endpoint);
    const settled = await exchange(
      deps,
      { ...consent, consent_seq, origin_of_trust },
      () =>
        deps.authorizationServer.exchangeCode(
          { binding, client_secret },
          { code, redirect_uri, code_verifier, listen_ms: settings.late_listening, origin_of_trust, profile },
        ),
      () => ended(state),
    );
    if (settled && settled !== 'late' && settled.applied && settled.outcome.type === 'success') {
      log.info('connected', { connection: connectionLabel(consent.key), actor: consent.actor });
      return { ok: true, key: consent.key, return_url: consent.return_url };
    }
    const failure = exchangeFailure(settled, askedByPerson(host, binding.client_source));
    // Not a failure for the history: the token is on this server's disk, and `connect_completed` will follow.
    if (!settled) return refusal(consent, failure.code, failure.message);
    return fail(consent, failure.code, failure.message, failure.detail);
  }

  return {
    async start(key, { return_url, actor }) {
      const state = base64url(random.bytes(STATE_BYTES));
      const now = clock.now();
      const times = { created_at: now, expires_at: now + STATE_LIFETIME_MS };
      const back = safeReturnUrl(return_url, key);
      try {
        const { consent, revision } = await buildConsent(deps, key, state, { actor, return_url: back, ...times });
        await consents.create(state, consent);
        await unchangedSince(state, key, revision);
        const idp_host = idpHostOf(consent.binding);
        await events.append(key, [
          {
            event_type: 'connect_started',
            actor,
            idp_host,
            detail: { return_url: back, scope: consent.binding.scope },
          },
        ]);
        return {
          authorization_url: consent.authorization_url,
          state,
          redirect_uri: consent.redirect_uri,
          expires_at: isoOrNull(consent.expires_at) ?? '',
        };
      } catch (error) {
        const failure = toAppError(error);
        const step = {
          discovery_failed: 'discovery',
          registration_failed: 'registration',
          egress_refused: 'egress',
        } as const;
        const known = step[failure.code as keyof typeof step];
        if (known) {
          await events.append(key, [{ event_type: 'connect_failed', actor, idp_host: null, detail: { step: known } }]);
        }
        throw error;
      }
    },

    async bind(state, browserBinding) {
      const bound = await consents.bind(state, deps.fingerprint(new Secret(browserBinding)));
      const pending = bound ? await consents.peek(state) : undefined;
      return pending && { authorization_url: pending.consent.authorization_url };
    },

    async callback(params, browserBinding) {
      const state = params.get('state') ?? '';
      const pending = state === '' ? undefined : await consents.peek(state);
      const hash = browserBinding === null ? null : deps.fingerprint(new Secret(browserBinding));
      // Whoever finishes the flow binds their account: only the browser that began it may (lesson 43).
      if (!pending || hash === null || pending.browser_binding_hash !== hash) return EXPIRED;
      const { consent } = pending;
      const response = readAuthorizationResponse(params, consent);
      const consumed = await consents.consume(state);
      if (!consumed) return EXPIRED;
      if (response.type !== 'code') await ended(state);
      if (response.type === 'problem') {
        return fail(consent, response.problem, PROBLEMS[response.problem], {
          step: 'authorization_response',
          reason: response.problem,
        });
      }
      if (response.type === 'error') {
        await forgetRefused(deps, consent.key, consent.binding, response.error);
        const message = authorizationError(response.error, consent.binding);
        return fail(consent, response.error, message, {
          step: 'authorization_response',
          idp_error_code: response.error,
        });
      }
      try {
        return await finish(consent, state, response.code, consumed.consent_seq);
      } catch (error) {
        log.error('a connect could not be finished', { connection: connectionLabel(consent.key), error });
        const { code, message } = toAppError(error);
        return refusal(consent, code, message);
      }
    },
  };
}
