import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** One element of DER (X.690 §8.1). */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = Buffer.from(body.length.toString(16).padStart(4, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x82]), length, body]);
}

const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const text = (value: string) => der(0x0c, Buffer.from(value));
const time = (ms: number) => der(0x18, Buffer.from(`${new Date(ms).toISOString().replace(/[-:T]|\..*/g, '')}Z`));
const nameOf = (name: string) => sequence(der(0x31, sequence(oid('550403'), text(name))));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const TRUE = der(0x01, Buffer.from([0xff]));

export type Issued = { cert: string; key: string };
type Authority = Issued & { name: string; keyObject: KeyObject };

const DAY = 86_400_000;
let serial = 1;

function certificatePem(body: Uint8Array): string {
  const lines =
    Buffer.from(body)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function issue(name: string, issuer: Authority | null, valid: { from: number; to: number }): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = issuer?.keyObject ?? privateKey;
  const constraints = sequence(oid('551d13'), TRUE, der(0x04, sequence(...(issuer ? [] : [TRUE]))));
  // localhost, and 127.0.0.1 (RFC 5280 §4.2.1.6).
  const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])));
  const extensions = der(0xa3, sequence(constraints, sequence(oid('551d11'), der(0x04, names))));
  serial += 1;
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([serial % 128])),
    ECDSA_SHA256,
    nameOf(issuer?.name ?? name),
    sequence(time(valid.from), time(valid.to)),
    nameOf(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions,
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', body, signer));
  return {
    name,
    keyObject: privateKey,
    cert: certificatePem(sequence(body, ECDSA_SHA256, signature)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** A private authority of one test. Its certificates are for localhost and 127.0.0.1. */
export function createAuthority(name: string, now: number) {
  const valid = { from: now - DAY, to: now + DAY };
  const root = issue(name, null, valid);
  return {
    cert: root.cert,
    issue: (subject: string, more: Partial<typeof valid> = {}): Issued => {
      const { cert, key } = issue(subject, root, { ...valid, ...more });
      return { cert, key };
    },
  };
}
