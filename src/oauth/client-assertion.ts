import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import type { Clock, Random, TokenRequestClient } from '../core/ports.ts';
import { EgressError } from '../core/ports.ts';
import type { Secret } from '../core/redact.ts';

/** Long enough for a slow way and clocks that differ a little; the assertion is used once, at once. */
const LIFETIME_S = 60;

type Signing = { alg: string; hash: string | null };

const OF_CURVE: Readonly<Record<string, Signing>> = {
  prime256v1: { alg: 'ES256', hash: 'sha256' },
  secp384r1: { alg: 'ES384', hash: 'sha384' },
  secp521r1: { alg: 'ES512', hash: 'sha512' },
};

/** @see https://www.rfc-editor.org/rfc/rfc7518#section-3.1 */
function signingOf(key: KeyObject): Signing | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { alg: 'RS256', hash: 'sha256' };
    case 'rsa-pss':
      return { alg: 'PS256', hash: 'sha256' };
    case 'ec':
      return OF_CURVE[key.asymmetricKeyDetails?.namedCurve ?? ''];
    case 'ed25519':
      return { alg: 'EdDSA', hash: null };
    default:
      return undefined;
  }
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

function signed(pem: string, key_id: string | null, claims: object): string {
  const key = createPrivateKey(pem);
  const signing = signingOf(key);
  if (!signing) throw new TypeError('no algorithm for this sort of key');
  const { alg, hash } = signing;
  const input = `${part({ alg, typ: 'JWT', ...(key_id === null ? {} : { kid: key_id }) })}.${part(claims)}`;
  // RFC 7518 §3.4: both numbers side by side, where OpenSSL would wrap them. §3.5: a salt as long as the hash.
  const signature = sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363', saltLength: 32 });
  return `${input}.${signature.toString('base64url')}`;
}

/**
 * The proof of a client that signs, good for one request.
 * @throws EgressError `not_sent`: with this key nothing can be signed, so nothing is sent
 * @see https://www.rfc-editor.org/rfc/rfc7523#section-3
 */
export function clientAssertion(
  { clock, random }: { clock: Clock; random: Random },
  { binding }: TokenRequestClient,
  privateKey: Secret,
): string {
  const iat = Math.floor(clock.now() / 1_000);
  const { client_id, client_assertion } = binding;
  const audience = client_assertion?.audience ?? binding.issuer ?? binding.token_endpoint;
  const claims = { iss: client_id, sub: client_id, aud: audience, jti: random.uuid(), iat, exp: iat + LIFETIME_S };
  try {
    return signed(privateKey.reveal(), client_assertion?.key_id ?? null, claims);
  } catch {
    throw new EgressError('not_sent', 'egress_refused', 'The client cannot sign: its private key cannot be used.');
  }
}
