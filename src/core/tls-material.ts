import { type ConnectionConfig, destinationOf } from './connection.ts';
import type { Fetch, TlsMaterial } from './environment.ts';
import { Secret } from './redact.ts';

const originOf = (url: string | URL | undefined) =>
  url && URL.canParse(String(url)) ? new URL(url).origin : undefined;

/**
 * What a connection brings to a TLS connection to this URL. Its authority is trusted wherever it leads; its certificate
 * is shown to the destination that it was given for, and to nobody else.
 */
export function tlsTowards(config: ConnectionConfig, url: string | URL): TlsMaterial | undefined {
  const { tls_ca_bundle_pem: ca, mtls_client_cert_pem: cert, mtls_client_key_pem: key } = config;
  const origin = originOf(url);
  const shown = cert && key && origin !== undefined && origin === originOf(destinationOf(config));
  if (!ca && !shown) return undefined;
  return { ...(ca ? { ca } : {}), ...(shown ? { cert, key: new Secret(key) } : {}) };
}

/** The way out as one connection takes it: whoever is handed it needs to know nothing of certificates. */
export function fetchOf(fetch: Fetch, config: ConnectionConfig): Fetch {
  if (!config.tls_ca_bundle_pem && !config.mtls_client_cert_pem) return fetch;
  return (url, init) => {
    const tls = tlsTowards(config, url);
    return fetch(url, tls ? { ...init, tls } : init);
  };
}
