import { createHash } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import type { TlsMaterial } from './core/ports.ts';

/** As a socket takes it. A private authority comes beside the public ones: Node would put it in their place. */
export function tlsOptions(tls: TlsMaterial | undefined): { ca?: string[]; cert?: string; key?: string } {
  if (!tls) return {};
  return {
    ...(tls.ca === undefined ? {} : { ca: [...rootCertificates, tls.ca] }),
    ...(tls.cert === undefined ? {} : { cert: tls.cert }),
    ...(tls.key === undefined ? {} : { key: tls.key.reveal() }),
  };
}

/** Equal for equal material, so that sockets are shared where nothing tells them apart, and never where something does. */
export function tlsMark({ ca = '', cert = '', key }: TlsMaterial): string {
  const hash = createHash('sha256');
  for (const text of [ca, cert, key?.reveal() ?? '']) hash.update(`${text.length}:`).update(text);
  return hash.digest('base64url');
}
