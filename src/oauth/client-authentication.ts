import type { Clock, Random, TokenRequestClient } from '../core/ports.ts';
import { clientAssertion } from './client-assertion.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** `application/x-www-form-urlencoded`, as RFC 6749 Appendix B wants it for both halves of Basic. */
function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`, 'utf8').toString('base64')}`;
}

/**
 * Proves the client to the authorization server, the same way for every grant and for revocation. `_raw` is for servers
 * that do not decode the two halves of Basic, against the RFC.
 * @returns headers to send; `form` is completed in place.
 * @see https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
 * @see https://www.rfc-editor.org/rfc/rfc7523#section-2.2
 */
export function authenticateClient(
  tools: { clock: Clock; random: Random },
  client: TokenRequestClient,
  form: URLSearchParams,
): Record<string, string> {
  const { client_id, token_endpoint_auth_method: method } = client.binding;
  if (client.client_secret === null || method === 'none') {
    form.set('client_id', client_id);
    return {};
  }
  if (method === 'private_key_jwt') {
    form.set('client_id', client_id);
    form.set('client_assertion_type', ASSERTION_TYPE);
    form.set('client_assertion', clientAssertion(tools, client, client.client_secret));
    return {};
  }
  const secret = client.client_secret.reveal();
  switch (method) {
    case 'client_secret_basic':
      return { authorization: basic(formEncode(client_id), formEncode(secret)) };
    case 'client_secret_basic_raw':
      return { authorization: basic(client_id, secret) };
    case 'client_secret_post':
      form.set('client_id', client_id);
      form.set('client_secret', secret);
      return {};
  }
}
