import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DemoParts } from '../support/demo.ts';

export interface TokenResponse {
  access_token: string;
  token_type: string;
  expires_in: number;
  refresh_token: string;
  refresh_expires_in: number;
  scope: string;
}

export type TokenAnswer = { status: number; body: TokenResponse & { error?: string } };

/** A client made of plain fetch, so that what the provider answers is seen as it is. */
export async function createPlainClient(demo: DemoParts) {
  const callback = createServer((_req, res) => res.end('back at the application'));
  await new Promise<void>((resolve) => callback.listen(0, '127.0.0.1', resolve));
  const redirectUri = `http://127.0.0.1:${(callback.address() as AddressInfo).port}/callback`;
  const metadata = await getJson(`${demo.issuer}/.well-known/openid-configuration`);
  const registered = await postJson(String(metadata.registration_endpoint), {
    client_name: 'Plain client',
    application_type: 'native',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  });
  const client_id = String(registered.client_id);

  const token = async (form: Record<string, string>): Promise<TokenAnswer> => {
    const answer = await fetch(String(metadata.token_endpoint), {
      method: 'POST',
      body: new URLSearchParams({ client_id, ...form }),
    });
    return { status: answer.status, body: (await answer.json()) as TokenAnswer['body'] };
  };

  /** Authorization URL with PKCE, and the verifier that goes with it. */
  const authorization = (resource: string, extra: Record<string, string> = {}) => {
    const verifier = randomBytes(32).toString('base64url');
    const state = randomBytes(8).toString('hex');
    const url = new URL(String(metadata.authorization_endpoint));
    url.search = new URLSearchParams({
      client_id,
      response_type: 'code',
      redirect_uri: redirectUri,
      scope: 'mcp offline_access',
      prompt: 'consent',
      state,
      resource,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
      ...extra,
    }).toString();
    return { url, verifier, state };
  };

  const signIn = async (resource = demo.upstreamUrl, extra: Record<string, string> = {}): Promise<TokenResponse> => {
    const { url, verifier } = authorization(resource, extra);
    const end = await demo.login(url);
    const code = new URL(end.url).searchParams.get('code') ?? '';
    const form = {
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
      resource,
    };
    const answer = await token(form);
    if (answer.status !== 200) throw new Error(`token endpoint answered ${answer.status} ${answer.body.error}`);
    return answer.body;
  };

  return {
    redirectUri,
    metadata,
    registered,
    authorization,
    signIn,
    refresh: (refresh_token: string) => token({ grant_type: 'refresh_token', refresh_token }),
    close: () => new Promise((resolve) => callback.close(resolve)),
  };
}

export async function getJson(url: string): Promise<Record<string, unknown>> {
  return (await (await fetch(url)).json()) as Record<string, unknown>;
}

async function postJson(url: string, body: unknown): Promise<Record<string, unknown>> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await answer.json()) as Record<string, unknown>;
}
