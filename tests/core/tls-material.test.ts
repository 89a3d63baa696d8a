import { expect, it } from 'vitest';
import { mcpConfigSchema } from '../../src/core/connection.ts';
import type { FetchInit } from '../../src/core/ports.ts';
import { fetchOf, tlsTowards } from '../../src/core/tls-material.ts';

const KEY = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----';
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
const mutual = { mtls_client_cert_pem: CERTIFICATE, mtls_client_key_pem: KEY };
const configOf = (fields = {}) => mcpConfigSchema.parse({ endpoint: 'https://mcp.example/mcp', ...fields });

it('a client certificate is shown to its destination and to nobody else; the authority counts everywhere', () => {
  const config = configOf({ ...mutual, tls_ca_bundle_pem: CERTIFICATE });
  expect(tlsTowards(config, 'https://mcp.example/other')).toMatchObject({ ca: CERTIFICATE, cert: CERTIFICATE });
  for (const other of ['https://idp.example/token', 'https://mcp.example:8443/mcp', 'http://mcp.example/mcp']) {
    expect(tlsTowards(config, other)).toEqual({ ca: CERTIFICATE });
    expect(tlsTowards(configOf(mutual), other)).toBeUndefined();
  }
  expect(tlsTowards(configOf(), 'https://mcp.example/mcp')).toBeUndefined();
});

it('whoever is handed the way out of a connection says nothing of certificates', async () => {
  const sent: FetchInit[] = [];
  const fetch = async (_url: string | URL, init: FetchInit) => {
    sent.push(init);
    return new Response();
  };
  const init: FetchInit = { trust: { url: 'typed' } };
  await fetchOf(fetch, configOf(mutual))('https://mcp.example/mcp', init);
  await fetchOf(fetch, configOf(mutual))(new URL('https://elsewhere.example/'), init);
  expect(sent).toMatchObject([{ tls: { cert: CERTIFICATE } }, init]);
  expect(sent[1]?.tls).toBeUndefined();
  expect(fetchOf(fetch, configOf())).toBe(fetch);
});
