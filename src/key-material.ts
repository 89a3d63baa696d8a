import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { ConnectionConfig } from './core/connection.ts';
import type { FieldIssue } from './core/errors.ts';
import type { Instant } from './core/token-set.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** The curves that RFC 7518 §3.1 signs with, by OpenSSL's names. */
const SIGNS: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
};

function readKey(pem: string): { key: KeyObject } | { issue: string } {
  try {
    return { key: createPrivateKey(pem) };
  } catch {
    const sealed = pem.includes('ENCRYPTED');
    return {
      issue: sealed
        ? 'is protected by a passphrase; give it without one, it is stored encrypted'
        : 'holds no private key that can be read',
    };
  }
}

function readCertificates(pem: string): { certificates: X509Certificate[] } | { issue: string } {
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) return { issue: 'holds no certificate' };
  const certificates: X509Certificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      certificates.push(new X509Certificate(block));
    } catch {
      return { issue: `holds a certificate that cannot be read (number ${index + 1} of ${blocks.length})` };
    }
  }
  return { certificates };
}

function validityIssue(certificates: readonly X509Certificate[], now: Instant): string | undefined {
  for (const { validFrom, validTo } of certificates) {
    if (Date.parse(validTo) <= now) return `holds a certificate that expired on ${new Date(validTo).toISOString()}`;
    if (Date.parse(validFrom) > now)
      return `holds a certificate that is not valid before ${new Date(validFrom).toISOString()}`;
  }
  return undefined;
}

function signingIssue(pem: string): string | undefined {
  const read = readKey(pem);
  if ('issue' in read) return read.issue;
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = read.key;
  if (type === 'ed25519') return undefined;
  if (type === 'ec' && SIGNS[details?.namedCurve ?? ''] !== undefined) return undefined;
  if (type === 'rsa' || type === 'rsa-pss') {
    return (details?.modulusLength ?? 0) < 2_048 ? 'is an RSA key of less than 2048 bits (RFC 7518 §3.3)' : undefined;
  }
  return `is a key that cannot sign for a client; RSA, ${Object.values(SIGNS).join(', ')} or Ed25519 can`;
}

function certificateIssue(pem: string, now: Instant): string | undefined {
  const read = readCertificates(pem);
  return 'issue' in read ? read.issue : validityIssue(read.certificates, now);
}

function pairIssues(certPem: string, keyPem: string, now: Instant): FieldIssue[] {
  const cert = readCertificates(certPem);
  const key = readKey(keyPem);
  const certIssue = certificateIssue(certPem, now);
  if (certIssue) return [{ path: 'mtls_client_cert_pem', message: certIssue }];
  if ('issue' in key) return [{ path: 'mtls_client_key_pem', message: key.issue }];
  const [own] = 'certificates' in cert ? cert.certificates : [];
  if (own?.checkPrivateKey(key.key)) return [];
  return [{ path: 'mtls_client_key_pem', message: 'does not belong to the first certificate of mtls_client_cert_pem' }];
}

/**
 * Whether the keys and certificates of a configuration are sound, as asked before it is saved. Later it is not asked
 * again: what expires then is told by the connection that fails.
 */
export function keyMaterialIssues(config: ConnectionConfig, now: Instant): FieldIssue[] {
  const issues: FieldIssue[] = [];
  const { oauth2_client_private_key_pem, tls_ca_bundle_pem, mtls_client_cert_pem, mtls_client_key_pem } = config;
  const add = (path: string, message: string | undefined) => {
    if (message !== undefined) issues.push({ path, message });
  };
  if (oauth2_client_private_key_pem) {
    add('oauth2_client_private_key_pem', signingIssue(oauth2_client_private_key_pem));
  }
  if (tls_ca_bundle_pem) add('tls_ca_bundle_pem', certificateIssue(tls_ca_bundle_pem, now));
  if (mtls_client_cert_pem && mtls_client_key_pem) {
    issues.push(...pairIssues(mtls_client_cert_pem, mtls_client_key_pem, now));
  }
  return issues;
}
