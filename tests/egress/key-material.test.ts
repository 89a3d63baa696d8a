import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { keyMaterialIssues } from '../../src/key-material.ts';
import { createAuthority } from '../support/certificates.ts';

const NOW = Date.parse('2026-11-30T12:00:00Z');
const DAY = 86_400_000;
const authority = createAuthority('Authority', NOW);
const own = authority.issue('client');
const pem = { type: 'pkcs8', format: 'pem' } as const;
const keyOf = (privateKey: ReturnType<typeof generateKeyPairSync>['privateKey']) => privateKey.export(pem).toString();
const rsa = (modulusLength: number) => keyOf(generateKeyPairSync('rsa', { modulusLength }).privateKey);
const ec = (namedCurve: string) => keyOf(generateKeyPairSync('ec', { namedCurve }).privateKey);
const sealed = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  ...pem,
  cipher: 'aes-256-cbc',
  passphrase: 'secret',
});

const issuesOf = (config: Record<string, string>) => keyMaterialIssues({ auth_mode: 'none', ...config }, NOW);

it.each([
  ['RSA of 2048 bits', rsa(2_048)],
  ['P-256', ec('P-256')],
  ['P-384', ec('P-384')],
  ['P-521', ec('P-521')],
  ['Ed25519', keyOf(generateKeyPairSync('ed25519').privateKey)],
])('a key of %s can sign for a client', (_sort, key) => {
  expect(issuesOf({ oauth2_client_private_key_pem: key })).toEqual([]);
});

it.each([
  ['a short RSA key', rsa(1_024), 'less than 2048 bits'],
  ['a curve without an algorithm', ec('secp256k1'), 'cannot sign for a client'],
  ['a key for another purpose', keyOf(generateKeyPairSync('x25519').privateKey), 'cannot sign for a client'],
  ['a key under a passphrase', String(sealed), 'passphrase'],
  [
    'a text that is no key',
    '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----',
    'no private key that can be',
  ],
])('%s is refused', (_sort, key, message) => {
  expect(issuesOf({ oauth2_client_private_key_pem: key })).toEqual([
    { path: 'oauth2_client_private_key_pem', message: expect.stringContaining(message) },
  ]);
});

const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
const expired = authority.issue('client', { to: NOW - DAY / 2 });
const early = authority.issue('client', { from: NOW + DAY / 2 });
const cert = (one: { cert: string; key: string }) => ({
  mtls_client_cert_pem: one.cert,
  mtls_client_key_pem: one.key,
});

it('certificates that are in order are taken, in a chain, too', () => {
  expect(issuesOf({ tls_ca_bundle_pem: `${authority.cert}\n${createAuthority('Other', NOW).cert}` })).toEqual([]);
  expect(issuesOf({ ...cert(own), mtls_client_cert_pem: `${own.cert}\n${authority.cert}` })).toEqual([]);
});

it.each([
  ['no certificate at all', { tls_ca_bundle_pem: 'none' }, 'tls_ca_bundle_pem', 'holds no certificate'],
  [
    'one of a bundle that is broken',
    { tls_ca_bundle_pem: `${own.cert}${broken}` },
    'tls_ca_bundle_pem',
    'number 2 of 2',
  ],
  ['an authority that expired', { tls_ca_bundle_pem: expired.cert }, 'tls_ca_bundle_pem', 'expired on 2026-11-30'],
  ['a certificate that expired', cert(expired), 'mtls_client_cert_pem', 'expired on 2026-11-30'],
  ['one that is not valid yet', cert(early), 'mtls_client_cert_pem', 'not valid before 2026-12-01'],
  ['the key of another', { ...cert(own), mtls_client_key_pem: early.key }, 'mtls_client_key_pem', 'does not belong'],
  ['no key', { ...cert(own), mtls_client_key_pem: 'x' }, 'mtls_client_key_pem', 'no private key that can be read'],
])('%s is refused by the name of its field', (_what, config, path, message) => {
  expect(issuesOf(config)).toEqual([{ path, message: expect.stringContaining(message) }]);
});
