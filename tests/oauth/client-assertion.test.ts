import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ClientBinding } from '../../src/core/credential.ts';
import { Secret } from '../../src/core/redact.ts';
import { bindingTo, startClient, startServer } from './servers.ts';

const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
const KEYS = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey,
  PS256: generateKeyPairSync('rsa-pss', { modulusLength: 2_048 }).privateKey,
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  EdDSA: generateKeyPairSync('ed25519').privateKey,
};
const HASHES = { RS256: 'sha256', PS256: 'sha256', ES256: 'sha256', ES384: 'sha384', EdDSA: null };

type Claims = { iss: string; sub: string; aud: string; jti: string; iat: number; exp: number };
const decode = (part = '') => JSON.parse(Buffer.from(part, 'base64url').toString()) as unknown;

/** What a strict server makes of an assertion. */
function read(body: string, key: KeyObject, alg: keyof typeof HASHES) {
  const form = new URLSearchParams(body);
  const [header, claims, signature = ''] = (form.get('client_assertion') ?? '').split('.');
  const genuine = verify(
    HASHES[alg],
    Buffer.from(`${header}.${claims}`),
    { key: createPublicKey(key), dsaEncoding: 'ieee-p1363', saltLength: 32 },
    Buffer.from(signature, 'base64url'),
  );
  return { form, genuine, header: decode(header), claims: decode(claims) as Claims };
}

describe('a client that signs (RFC 7523 §2.2)', () => {
  let idp: Awaited<ReturnType<typeof startServer>>;
  let client: ReturnType<typeof startClient>;
  beforeAll(async () => {
    idp = await startServer(() => ({ json: { access_token: 'at' } }));
    client = startClient();
  });
  beforeEach(() => void idp.received.splice(0));
  afterAll(async () => {
    await client.close();
    await idp.close();
  });

  const signing = (key: string, more: Partial<ClientBinding> = {}) => ({
    binding: bindingTo(idp.origin, { client_id: 'robot', token_endpoint_auth_method: 'private_key_jwt', ...more }),
    client_secret: new Secret(key),
  });
  const how = () => ({ listen_ms: 30_000, origin_of_trust: idp.origin });

  it.each(Object.keys(KEYS) as (keyof typeof KEYS)[])('signs with %s, as its key asks for', async (alg) => {
    await client.server.clientCredentials(signing(pem(KEYS[alg])), how());
    const { genuine, header } = read(idp.received[0]?.body ?? '', KEYS[alg], alg);
    expect(genuine).toBe(true);
    expect(header).toEqual({ alg, typ: 'JWT' });
  });

  it('proves itself anew with every grant and at the revocation, and shows its key to nobody', async () => {
    const key = pem(KEYS.ES256);
    const as = signing(key, { client_assertion: { key_id: 'k-1', audience: 'https://issuer.example' } });
    const request = { code: 'c', redirect_uri: 'http://x/cb', code_verifier: new Secret('v'), ...how() };
    await client.server.exchangeCode(as, request);
    await client.server.refresh(as, { refresh_token: new Secret('r'), ...how() });
    await client.server.clientCredentials(as, how());
    await client.server.revoke(as, { token: new Secret('t'), token_type_hint: 'refresh_token', ...how() });
    const seen = idp.received.map(({ body }) => read(body, KEYS.ES256, 'ES256'));
    expect(seen).toHaveLength(4);
    for (const { form, genuine, header, claims } of seen) {
      expect(genuine).toBe(true);
      expect(header).toEqual({ alg: 'ES256', typ: 'JWT', kid: 'k-1' });
      expect(claims).toMatchObject({ iss: 'robot', sub: 'robot', aud: 'https://issuer.example' });
      expect(claims.exp - claims.iat).toBe(60);
      expect(form.get('client_id')).toBe('robot');
      expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
      expect([form.has('client_secret'), form.toString().includes('PRIVATE')]).toEqual([false, false]);
    }
    expect(new Set(seen.map(({ claims }) => claims.jti)).size).toBe(4);
    expect(idp.received.some(({ headers }) => headers.authorization)).toBe(false);
  });

  it('sends nothing with a key that cannot sign: nothing is ambiguous then', async () => {
    const reply = await client.server.refresh(signing('no key'), { refresh_token: new Secret('r'), ...how() });
    expect(reply).toEqual({ type: 'not_sent', error_class: 'egress_refused' });
    expect(idp.received).toHaveLength(0);
  });
});
