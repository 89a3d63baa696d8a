import type { TokenRequestClient } from '../core/ports.ts';

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
 */
export function authenticateClient(client: TokenRequestClient, form: URLSearchParams): Record<string, string> {
  const { client_id, token_endpoint_auth_method: method } = client.binding;
  const secret = client.client_secret?.reveal();
  if (secret === undefined || method === 'none') {
    form.set('client_id', client_id);
    return {};
  }
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
