import { TOKEN_ENDPOINT_AUTH_METHODS, type TokenEndpointAuthMethod } from './connection.ts';
import type { ClientBinding } from './credential.ts';
import { WRONG_CLIENT_CODES } from './refresh-outcome.ts';
import type { TokenAnswer } from './token-response.ts';

/** What an answer to a refresh token that never was one says about the client that presented it. */
export type ClientVerdict = 'accepted' | 'refused' | 'unclear';

export type ClientTrial = {
  method: TokenEndpointAuthMethod;
  verdict: ClientVerdict;
  /** The provider's code, made safe; null where it gave none. */
  idp_error_code: string | null;
};

/** Said only to a client that has proved itself: its token is refused, or it may not use this grant (RFC 6749 §5.2). */
const PROVED: readonly string[] = ['invalid_grant', 'unauthorized_client'];

/** @see https://www.rfc-editor.org/rfc/rfc6749#section-5.2 */
export function clientVerdict(answer: TokenAnswer, deadGrantCodes: readonly string[]): ClientVerdict {
  if (answer.type !== 'error') return 'unclear';
  if (PROVED.includes(answer.error) || deadGrantCodes.includes(answer.error)) return 'accepted';
  return answer.error === 'invalid_client' || WRONG_CLIENT_CODES.includes(answer.error) ? 'refused' : 'unclear';
}

/** Which ways are worth trying, the configured one first: those of what it has, and a secret may be needless. */
export function methodsToTry(
  configured: TokenEndpointAuthMethod,
  has: { secret: boolean; private_key: boolean },
): TokenEndpointAuthMethod[] {
  if (!has.secret && !has.private_key) return ['none'];
  const possible = TOKEN_ENDPOINT_AUTH_METHODS.filter((method) => {
    if (method === 'private_key_jwt') return has.private_key;
    return method === 'none' || has.secret;
  });
  return [configured, ...possible.filter((method) => method !== configured)];
}

/** Who can mend a client that is refused depends on where it comes from. */
export function refusedClientAdvice(source: ClientBinding['client_source']): string {
  switch (source) {
    case 'config':
      return 'Check oauth2_client_id, oauth2_client_secret (or oauth2_client_private_key_pem) and oauth2_token_endpoint_auth_method.';
    case 'dynamic_registration':
      return 'Connect it in a browser again: this server then registers another client there.';
    case 'client_id_metadata_document':
      return 'Check that the provider can fetch the client metadata document of this server at its public URL.';
  }
}

const UNCLEAR = 'no readable answer';

/** What came of the trials, as a person reads it. */
export function clientSentence(
  host: string,
  configured: TokenEndpointAuthMethod,
  trials: readonly ClientTrial[],
  source: ClientBinding['client_source'],
): string {
  const works = trials.find(({ verdict }) => verdict === 'accepted')?.method;
  if (works === configured) return `${host} accepts this client (${works}).`;
  if (works !== undefined) {
    return `${host} accepts this client by ${works}, but not by ${configured}, which the connection uses: set oauth2_token_endpoint_auth_method to ${works}.`;
  }
  const refused = trials.filter(({ verdict }) => verdict === 'refused').map(({ method }) => method);
  const unclear = trials.find(({ verdict }) => verdict === 'unclear');
  if (refused.length === 0) {
    return `${host} did not tell whether it accepts this client (${unclear?.idp_error_code ?? UNCLEAR}).`;
  }
  const more = unclear ? `; by ${unclear.method} it did not tell: ${unclear.idp_error_code ?? UNCLEAR}` : '';
  return `${host} refuses this client (tried: ${refused.join(', ')}${more}). ${refusedClientAdvice(source)}`;
}
