import type { AuthEventDetail, NewAuthEvent } from '../core/auth-event.ts';
import { chooseResource, originOfTrust } from '../core/authorization-request.ts';
import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { type ClientBinding, idpHostOf } from '../core/credential.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { AuthEventStore, AuthorizationServer, Connection, ConnectionStore, ConsentStore } from '../core/ports.ts';
import { connectionProfile } from '../core/provider-profile.ts';
import type { ClientCredentialsFlow } from './api.ts';
import { configuredClient, connectionFor } from './consent-request.ts';
import { type ExchangeDeps, exchange } from './exchange.ts';
import type { Settled } from './settle.ts';

export type ClientCredentialsDeps = ExchangeDeps & {
  connections: Pick<ConnectionStore, 'read'>;
  consents: Pick<ConsentStore, 'drawConsentSeq'>;
  events: Pick<AuthEventStore, 'append'>;
  authorizationServer: Pick<AuthorizationServer, 'discover' | 'clientCredentials'>;
};

type Failure = { message: string; detail: AuthEventDetail };

function failureOf(settled: Settled | 'late' | undefined, label: string, host: string): Failure | undefined {
  if (settled === 'late') {
    const message = `${label}: ${host} has not answered in time. If it still does, the connection is made; else try again.`;
    return { message, detail: { step: 'token_exchange', error_class: 'timeout' } };
  }
  if (!settled) {
    const message = `${label}: ${host} gave a token, but the database cannot be reached. The token is safe on this server and is stored as soon as the database is back.`;
    return { message, detail: { step: 'store' } };
  }
  const { outcome, applied } = settled;
  if (outcome.type === 'success') {
    if (applied) return undefined;
    const message = `${label} was changed, disconnected or connected anew in the meantime, so this token was not used.`;
    return { message, detail: { step: 'superseded' } };
  }
  const { idp_error_code: code } = outcome;
  if (code === null) {
    const error_class = outcome.type === 'transient' ? outcome.error_class : 'structured';
    const message = `${label}: ${host} gave no readable answer (${error_class}). Try again.`;
    return { message, detail: { step: 'token_exchange', error_class } };
  }
  const message = `${label}: ${host} gave no token (${code}). Check oauth2_client_id, oauth2_client_secret, oauth2_token_endpoint_auth_method and oauth2_scope.`;
  return { message, detail: { step: 'token_exchange', idp_error_code: code } };
}

/**
 * The first token of a connection that asks in its own name. Every later one comes through the one door, as a refresh.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-4.4
 */
export function createClientCredentials(deps: ClientCredentialsDeps): ClientCredentialsFlow {
  const { events, authorizationServer, settings, log } = deps;

  async function record(
    key: ConnectionKey,
    event_type: 'connect_started' | 'connect_failed',
    actor: string,
    idp_host: string | null,
    detail: AuthEventDetail,
  ): Promise<void> {
    const event: NewAuthEvent = { event_type, actor, idp_host, detail };
    await events.append(key, [event]);
  }

  async function bind(connection: Connection, actor: string) {
    const { key, config } = connection;
    try {
      const metadata = await authorizationServer.discover(config);
      const profile = connectionProfile(config, metadata.token_endpoint);
      const client = configuredClient(config, metadata, profile);
      if (!client) throw new TypeError('the schema asks for a client id');
      const { client_secret, ...bound } = client;
      const binding: ClientBinding = {
        issuer: metadata.issuer,
        authorization_endpoint: null,
        token_endpoint: metadata.token_endpoint,
        revocation_endpoint: config.oauth2_revocation_url ?? metadata.revocation_endpoint,
        resource: chooseResource(key.kind, config, metadata, profile),
        // No offline_access: it asks for the refresh token that this grant has none of.
        scope: config.oauth2_scope || metadata.challenge_scope,
        grant: 'client_credentials',
        ...bound,
      };
      return { binding, client_secret, profile };
    } catch (error) {
      const { code } = toAppError(error);
      if (code === 'discovery_failed') await record(key, 'connect_failed', actor, null, { step: 'discovery' });
      throw error;
    }
  }

  async function acquire(key: ConnectionKey, actor: string): Promise<void> {
    const label = connectionLabel(key);
    const connection = await connectionFor(deps, key);
    const { config, incarnation, revision } = connection;
    if (config.oauth2_grant !== 'client_credentials') {
      throw new AppError(
        'invalid_request',
        `${label} is connected by a person: its oauth2_grant is authorization_code.`,
      );
    }
    // Drawn before anything is asked: a Disconnect from now on outranks what comes of it.
    const consent_seq = await deps.consents.drawConsentSeq();
    const { binding, client_secret, profile } = await bind(connection, actor);
    if ((await deps.connections.read(key))?.revision !== revision) {
      throw new AppError('conflict', `${label} was changed in the meantime. Try again.`);
    }
    const idp_host = idpHostOf(binding);
    await record(key, 'connect_started', actor, idp_host, { scope: binding.scope });
    const origin_of_trust = originOfTrust(config);
    const first = { key, incarnation, binding, client_secret, actor, consent_seq, origin_of_trust };
    const settled = await exchange(deps, first, () =>
      authorizationServer.clientCredentials(
        { binding, client_secret },
        { listen_ms: settings.late_listening, origin_of_trust, profile },
      ),
    );
    const failure = failureOf(settled, label, idp_host ?? 'the identity provider');
    if (!failure) {
      log.info('connected', { connection: label, actor });
      return;
    }
    if (failure.detail.step !== 'store') await record(key, 'connect_failed', actor, idp_host, failure.detail);
    throw new AppError('unavailable', failure.message);
  }

  const running = new Map<string, Promise<void>>();
  return {
    acquire(key, actor) {
      const label = connectionLabel(key);
      const run = running.get(label) ?? acquire(key, actor).finally(() => running.delete(label));
      running.set(label, run);
      return run;
    },
  };
}
