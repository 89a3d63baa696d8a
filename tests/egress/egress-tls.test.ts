import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TlsMaterial } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { createEgress } from '../../src/egress.ts';
import { createAuthority } from '../support/certificates.ts';

const ours = createAuthority('Our authority', Date.now());
const theirs = createAuthority('Another authority', Date.now());
const ada = ours.issue('ada');
const eve = theirs.issue('eve');

/** Tells each caller by which certificate it is known. */
async function startTls(requestCert: boolean) {
  const { cert, key } = ours.issue('localhost');
  const server = https.createServer({ cert, key, ca: ours.cert, requestCert, rejectUnauthorized: requestCert });
  server.on('request', (request, response) => {
    response.end(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? 'nobody'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url, close };
}

describe('a TLS connection with material of its own', () => {
  let open: Awaited<ReturnType<typeof startTls>>;
  let mutual: Awaited<ReturnType<typeof startTls>>;
  const egress = createEgress();
  beforeAll(async () => {
    open = await startTls(false);
    mutual = await startTls(true);
  });
  afterAll(async () => {
    await egress.close();
    await open.close();
    await mutual.close();
  });

  async function ask(url: string, tls?: TlsMaterial, connection?: 'fresh'): Promise<string> {
    const how = { ...(tls ? { tls } : {}), ...(connection ? { connection } : {}) };
    const response = await egress(url, { trust: { url: 'typed' }, ...how });
    return response.text();
  }
  const trusted = { ca: ours.cert };
  const asAda = { ...trusted, cert: ada.cert, key: new Secret(ada.key) };
  const untrusted = { phase: 'not_sent', reason: 'tls' };

  it('trusts a private authority where it is told to, and nowhere else, however sockets are pooled', async () => {
    await expect(ask(open.url)).rejects.toMatchObject(untrusted);
    expect(await ask(open.url, trusted)).toBe('nobody');
    expect(await ask(open.url, trusted, 'fresh')).toBe('nobody');
    await expect(ask(open.url)).rejects.toMatchObject(untrusted);
    await expect(ask(open.url, { ca: theirs.cert })).rejects.toMatchObject(untrusted);
    expect(await ask(open.url, { ca: `${theirs.cert}\n${ours.cert}` })).toBe('nobody');
  });

  it('shows a client certificate to a server that asks, and never that of another connection', async () => {
    expect(await ask(mutual.url, asAda)).toBe('ada');
    const bob = ours.issue('bob');
    expect(await ask(mutual.url, { ...trusted, cert: bob.cert, key: new Secret(bob.key) })).toBe('bob');
    expect(await ask(mutual.url, asAda)).toBe('ada');
    expect(await ask(open.url, trusted)).toBe('nobody');
  });

  it('fails without one, and with one that the server does not trust', async () => {
    await expect(ask(mutual.url, trusted)).rejects.toMatchObject({ name: 'EgressError' });
    const asEve = { ...trusted, cert: eve.cert, key: new Secret(eve.key) };
    await expect(ask(mutual.url, asEve)).rejects.toMatchObject({ name: 'EgressError' });
  });

  it('is not made with material that cannot be used: nothing was sent', async () => {
    const broken = { ...trusted, cert: ada.cert, key: new Secret(eve.key) };
    await expect(ask(mutual.url, broken)).rejects.toMatchObject(untrusted);
    await expect(ask(open.url, { cert: 'no certificate', key: new Secret('no key') })).rejects.toMatchObject(untrusted);
  });
});
