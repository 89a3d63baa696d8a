import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readTree } from './support/house-files.ts';
import { type Allowed, type Fault, houseFaults, type Rule } from './support/house-rules.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PLANTED = fileURLToPath(new URL('fixtures/house', import.meta.url));

const ALLOWED: Allowed = {
  environment: { 'src/config.ts': 'the only reader of the environment' },
  time: {
    'src/clock.ts': 'the only teller of time',
    'portal/src/clock.ts': "the portal's only teller of time",
  },
  randomness: { 'src/clock.ts': 'where the Random port is made' },
  network: { 'portal/src/api/queries.ts': 'where the portal hands the browser its one way to the server' },
  'function-length': {
    'portal/src/pages/add-connection-page.tsx': 'the markup of one form',
  },
  reveal: {
    'src/core/token-response.ts': 'the parser reads the reply that is kept as a secret',
    'src/db/connection-rows.ts': 'unpacks the secrets of a connection from the box',
    'src/db/consents.ts': 'the address of the identity provider is what the box held',
    'src/db/escrow.ts': 'what it writes is encrypted right after',
    'src/db/secret-box.ts': 'encrypts',
    'src/egress-tls.ts': 'hands the key of a client certificate to the socket',
    'src/oauth/authorization-server.ts': 'sends tokens and the code verifier to the token endpoint',
    'src/oauth/client-assertion.ts': 'signs with the private key of the client',
    'src/oauth/client-authentication.ts': 'sends the client secret to the token endpoint',
    'src/oauth/token-endpoint.ts': 'sends the token to the revocation endpoint',
    'src/toolkits/credential-headers.ts': 'sends the access token to the upstream',
  },
};

const told = (faults: readonly Fault[]) =>
  faults.map(({ rule, file, line, what }) => `${rule} ${file}:${line} ${what}`);

describe('the walls of the house', () => {
  const faults = houseFaults(ROOT);

  it('stand', () => {
    const forbidden = faults.filter(({ rule, file }) => ALLOWED[rule]?.[file] === undefined);
    expect(told(forbidden)).toEqual([]);
  });

  it('are left alone by no file that does not need it', () => {
    const needless = Object.entries(ALLOWED).flatMap(([rule, files]) =>
      Object.keys(files).filter((file) => !faults.some((fault) => fault.rule === rule && fault.file === file)),
    );
    expect(needless).toEqual([]);
  });
});

describe('a planted fault', () => {
  const faults = houseFaults(PLANTED);
  // The first line of each file of the fixture names what is planted in it.
  const planted = readTree(PLANTED, ['src', 'portal', 'tests']).map(({ path, text }) => {
    const names = /^\/\/ planted: (.+)$/m.exec(text)?.[1] ?? '';
    return { path, expected: names === 'nothing' ? [] : names.split(', ') };
  });

  it.each(planted)('is found in $path: $expected', ({ path, expected }) => {
    const found = faults.filter(({ file }) => file === path).map(({ rule }) => rule);
    expect([...new Set(found)].sort()).toEqual([...expected].sort());
  });

  it('exists for every rule', () => {
    const rules: Record<Rule, true> = {
      'room-import': true,
      'import-cycle': true,
      environment: true,
      time: true,
      randomness: true,
      network: true,
      sql: true,
      any: true,
      reveal: true,
      console: true,
      name: true,
      'file-length': true,
      'function-length': true,
      unfinished: true,
      'focused-test': true,
    };
    expect(new Set(planted.flatMap(({ expected }) => expected))).toEqual(new Set(Object.keys(rules)));
  });
});
