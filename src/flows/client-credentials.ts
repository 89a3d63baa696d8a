import type { AuthEventDetail, NewAuthEvent } from '../core/auth-event.ts';
import { chooseResource, originOfTrust } from '../core/authorization-request.ts';
import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { type ClientBinding, idpHostOf } from '../core/credential.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { AuthEventStore, AuthorizationServer, Connection, ConnectionStore, ConsentStore } from '../core/ports.ts';
import { connectionProfile } from '../core/provider-profile.ts';
import type { ClientCredentialsFlow } from './api.ts';
import { exchangeFailure } from './connect-failure.ts';
import { bindingOf, configuredClient, connectionFor } from './consent-request.ts';
import { type ExchangeDeps, exchange } from './exchange.ts';

export type ClientCredentialsDeps = ExchangeDeps & {
  connections: Pick<ConnectionStore, 'read'>;
  consents: Pick<ConsentStore, 'drawConsentSeq'>;
  events: Pick<AuthEventStore, 'append'>;
  authorizationServer: Pick<AuthorizationServer, 'discover' | 'clientCredentials'>;
};

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
      const resource = chooseResource(key.kind, config, metadata, profile);
      // No offline_access: it asks for the refresh token that this grant has none of.
      const scope = config.oauth2_scope || metadata.challenge_scope;
      const binding: ClientBinding = {
        ...bindingOf(config, metadata, resource, scope),
        authorization_endpoint: null,
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
        `${label} is connected by a person (oauth2_grant authorization_code). Connect it in a browser.`,
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
    if (settled && settled !== 'late' && settled.applied && settled.outcome.type === 'success') {
      log.info('connected', { connection: label, actor });
      return;
    }
    const { message, detail } = exchangeFailure(settled, {
      host: idp_host ?? 'the identity provider',
      asked: 'a token',
      again: 'Try again',
      refusedHint: () =>
        'Check oauth2_client_id, oauth2_client_secret (or oauth2_client_private_key_pem), oauth2_token_endpoint_auth_method and oauth2_scope.',
    });
    // Not a failure for the history: the token is on this server's disk, and `connect_completed` will follow.
    if (settled) await record(key, 'connect_failed', actor, idp_host, detail);
    throw new AppError('unavailable', `${label}: ${message}`);
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
