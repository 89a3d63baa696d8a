import { REFUSES_CLIENT } from '../core/auth-event.ts';
import { type ConnectionConfig, type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { type ClientBinding, issuerOf } from '../core/credential.ts';
import type { Log, RegistrationStore, TokenRequestClient } from '../core/ports.ts';
import { type ClientCheckDeps, presentBogusToken } from './client-check.ts';

/**
 * A server that refuses a client which we registered there ourselves has forgotten it, or let it expire: the next consent
 * registers another. The binding of the present token stays as it is, should the server change its mind.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2
 */
export async function forgetRefused(
  deps: { registrations: Pick<RegistrationStore, 'forget'>; log: Log },
  key: ConnectionKey,
  binding: ClientBinding,
  idp_error_code: string | null,
): Promise<void> {
  if (binding.client_source !== 'dynamic_registration' || !REFUSES_CLIENT.has(idp_error_code ?? '')) return;
  const fields = { connection: connectionLabel(key), issuer: issuerOf(binding), idp_error_code };
  try {
    await deps.registrations.forget(key, issuerOf(binding), binding.client_id);
    deps.log.warn(
      'an authorization server refuses the client that was registered there; the next Connect registers another',
      fields,
    );
  } catch (error) {
    deps.log.warn('a refused registration could not be forgotten yet; the next Connect checks it again', {
      ...fields,
      error,
    });
  }
}

/**
 * Whether the server still knows a client, before a person is sent there: at the authorization endpoint a client that is
 * gone ends on a page of the provider, of which this server never hears. Only a plain `invalid_client` counts as no.
 */
export async function isStillRegistered(
  deps: ClientCheckDeps,
  client: TokenRequestClient,
  config: ConnectionConfig,
): Promise<boolean> {
  const answer = await presentBogusToken(deps, client, config);
  return answer.type !== 'error' || answer.error !== 'invalid_client';
}
