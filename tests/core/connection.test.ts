import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  connectionLabel,
  connectionNameSchema,
  mcpConfigSchema,
  parseConnectionConfig,
} from '../../src/core/connection.ts';
import {
  joinSecrets,
  movedDestinations,
  redactConfig,
  resolveRedacted,
  splitSecrets,
} from '../../src/core/connection-secrets.ts';
import { REDACTED } from '../../src/core/redact.ts';

const KEY = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----';
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
const schemas = new Map([['mcp', mcpConfigSchema]]);
const VALID = { endpoint: 'https://mcp.example/mcp' };
const parse = (more: Record<string, unknown>) => parseConnectionConfig(schemas, 'mcp', { ...VALID, ...more });

describe('a configuration', () => {
  it('needs no more than an endpoint', () => {
    expect(parse({})).toEqual({ ok: true, config: { ...VALID, auth_mode: 'none' } });
  });

  const full = {
    auth_mode: 'oauth',
    credential: 'c',
    api_key_placement: 'header',
    api_key_header: 'X-Key',
    api_key_param: 'key',
    username: 'ada',
    password: 'p',
    static_headers: { 'X-Team': 'data' },
    provider: 'github',
    oauth2_grant: 'authorization_code',
    oauth2_issuer: 'https://idp.example',
    oauth2_authorization_url: 'https://idp.example/authorize',
    oauth2_token_url: 'https://idp.example/token',
    oauth2_revocation_url: 'https://idp.example/revoke',
    oauth2_client_id: 'client',
    oauth2_client_secret: 'secret',
    oauth2_client_private_key_pem: KEY,
    oauth2_client_key_id: 'k-1',
    tls_ca_bundle_pem: CERTIFICATE,
    mtls_client_cert_pem: CERTIFICATE,
    mtls_client_key_pem: KEY,
    oauth2_scope: 'read',
    oauth2_prompt: 'login',
    oauth2_authorize_params: { tenant: 'acme' },
    oauth2_token_endpoint_auth_method: 'client_secret_post',
    oauth2_refresh_max_lifetime: '60d',
    oauth2_resource: 'auto',
    connect_timeout: '10s',
    call_timeout: '1m',
  };

  it('takes every field that is described', () => {
    expect(parse(full)).toEqual({ ok: true, config: { ...VALID, ...full } });
    expect(parse({ oauth2_resource: 'https://mcp.example' }).ok).toBe(true);
    expect(parse({ endpoint: '  http://localhost:1/mcp ' })).toMatchObject({
      config: { endpoint: 'http://localhost:1/mcp' },
    });
  });

  const wrong: [string, unknown, string, string][] = [
    ['endpoint', 'nowhere', 'endpoint', 'absolute'],
    ['endpoint', 'ftp://mcp.example', 'endpoint', 'http or https'],
    ['endpoint', 'https://ada@mcp.example', 'endpoint', 'user name'],
    ['endpoint', 'https://:pw@mcp.example', 'endpoint', 'user name'],
    ['endpoint', 'https://mcp.example#x', 'endpoint', 'fragment'],
    ['auth_mode', 'magic', 'auth_mode', ''],
    ['credential', '', 'credential', 'empty'],
    ['credential', 'a\nb', 'credential', 'line breaks'],
    ['credential', 'a\rb', 'credential', 'line breaks'],
    ['credential', 'a\0b', 'credential', 'line breaks'],
    ['password', '', 'password', 'empty'],
    ['api_key_placement', 'body', 'api_key_placement', ''],
    ['api_key_header', 'X Key', 'api_key_header', 'not a valid header name'],
    ['static_headers', { 'X Team': 'a' }, 'static_headers.X Team', ''],
    ['static_headers', { Host: 'a' }, 'static_headers.Host', 'is set by the platform'],
    ['static_headers', { 'X-Team': '' }, 'static_headers.X-Team', 'empty'],
    ['oauth2_grant', 'password', 'oauth2_grant', 'authorization_code'],
    ['oauth2_issuer', 'x', 'oauth2_issuer', 'absolute'],
    ['oauth2_token_url', 'x', 'oauth2_token_url', 'absolute'],
    ['oauth2_revocation_url', 'x', 'oauth2_revocation_url', 'absolute'],
    ['oauth2_client_id', '', 'oauth2_client_id', ''],
    ['oauth2_token_endpoint_auth_method', 'jwt', 'oauth2_token_endpoint_auth_method', ''],
    ['oauth2_refresh_max_lifetime', '0d', 'oauth2_refresh_max_lifetime', 'such as 60d'],
    ['call_timeout', 'soon', 'call_timeout', 'duration'],
    ['connect_timeout', '5', 'connect_timeout', 'duration'],
    ['oauth2_resource', 'on', 'oauth2_resource', ''],
    ['oauth2_authorize_params', { state: 'x' }, 'oauth2_authorize_params', 'must not set state'],
    ['tpyo', 1, 'tpyo', 'not a known field'],
  ];

  it.each(wrong)('with %s %o is refused, naming %s (lesson 41)', (field, value, path, message) => {
    const parsed = parse({ [field]: value });
    if (parsed.ok) throw new Error('it was taken');
    const issue = parsed.issues.find((candidate) => candidate.path === path);
    expect(issue?.message, JSON.stringify(parsed.issues)).toContain(message);
  });

  it.each(['Authorization', 'Cookie', 'HOST', 'Mcp-Session-Id', 'content-length', 'Transfer-Encoding'])(
    'may not set the header %s, which is the platform’s',
    (header) => {
      expect(parse({ static_headers: { [header]: 'x' } }).ok).toBe(false);
      expect(parse({ api_key_header: header }).ok).toBe(false);
    },
  );

  it.each(
    [
      [
        'client_id',
        'code_challenge',
        'code_challenge_method',
        'redirect_uri',
        'resource',
        'response_type',
        'scope',
        'state',
      ],
    ].flat(),
  )('may not set the parameter %s, which is the flow’s own', (name) => {
    expect(parse({ oauth2_authorize_params: { [name]: 'x' } }).ok).toBe(false);
  });

  const missing: [Record<string, unknown>, string][] = [
    [{ auth_mode: 'bearer' }, 'credential'],
    [{ auth_mode: 'api_key' }, 'credential'],
    [{ auth_mode: 'basic', password: 'p' }, 'username'],
    [{ auth_mode: 'basic', username: 'u' }, 'password'],
    [{ api_key_placement: 'query' }, 'api_key_param'],
    [{ oauth2_authorization_url: 'https://idp.example/a' }, 'oauth2_token_url'],
    [{ oauth2_client_secret: 's' }, 'oauth2_client_id'],
    [{ oauth2_token_endpoint_auth_method: 'client_secret_basic', oauth2_client_id: 'c' }, 'oauth2_client_secret'],
  ];

  it.each(missing)('%o lacks %s, and only that', (more, path) => {
    const parsed = parse(more);
    expect(parsed).toMatchObject({ ok: false, issues: [{ path, message: expect.stringContaining('required') }] });
    if (!parsed.ok) expect(parsed.issues).toHaveLength(1);
  });

  it.each([
    { auth_mode: 'bearer', credential: 'c' },
    { auth_mode: 'api_key', credential: 'c' },
    { auth_mode: 'basic', username: 'u', password: 'p' },
    { api_key_placement: 'query', api_key_param: 'k' },
    { oauth2_token_endpoint_auth_method: 'none', oauth2_client_id: 'c' },
  ])('%o is complete', (more) => {
    expect(parse(more).ok).toBe(true);
  });

  it('of an unknown kind is refused with the kinds that are known', () => {
    expect(parseConnectionConfig(schemas, 'odd', VALID)).toEqual({
      ok: false,
      issues: [{ path: 'kind', message: '"odd" is not a known kind; known kinds: mcp' }],
    });
    expect(parseConnectionConfig(schemas, 'mcp', 'text')).toMatchObject({ ok: false, issues: [{ path: '(body)' }] });
  });

  it.each([
    ['a', true],
    ['acme-2', true],
    ['0', true],
    ['x'.repeat(63), true],
    ['', false],
    ['-a', false],
    ['A', false],
    ['a_b', false],
    ['x'.repeat(64), false],
  ])('may be named %o: %s', (name, ok) => {
    expect(connectionNameSchema.safeParse(name).success).toBe(ok);
    expect(connectionLabel({ kind: 'mcp', name })).toBe(`mcp/${name}`);
  });
});

describe('the secrets of a configuration', () => {
  const SECRETS = {
    credential: 'one',
    password: 'two',
    oauth2_client_secret: 'three',
    oauth2_client_private_key_pem: 'four',
    mtls_client_key_pem: 'five',
  };
  const config = { ...VALID, auth_mode: 'oauth', ...SECRETS, static_headers: { 'X-A': 'six', 'X-B': 'seven' } };

  it('are redacted, nested ones too, and nothing else is (lesson 48)', () => {
    const redacted = redactConfig(config);
    expect(JSON.stringify(redacted)).not.toMatch(/one|two|three|four|five|six|seven/);
    expect(redacted).toMatchObject({ ...VALID, credential: REDACTED, static_headers: { 'X-A': REDACTED } });
    expect(config.credential).toBe('one');
    expect(redactConfig({ ...VALID, static_headers: 'odd' })).toEqual({ ...VALID, static_headers: 'odd' });
    expect(redactConfig({ ...VALID, static_headers: ['odd'] })).toEqual({ ...VALID, static_headers: ['odd'] });
    expect(redactConfig({ ...VALID, static_headers: null })).toEqual({ ...VALID, static_headers: null });
  });

  it('part from the open rest and join it again', () => {
    const { open, secrets } = splitSecrets(config);
    expect(open).toEqual(redactConfig(config));
    expect(secrets).toEqual({ ...SECRETS, 'static_headers.X-A': 'six', 'static_headers.X-B': 'seven' });
    expect(joinSecrets(open, secrets)).toEqual(config);
    expect(joinSecrets(open, {})).toEqual(open);
    const headers = fc.dictionary(fc.stringMatching(/^[A-Za-z.-]{1,9}$/), fc.string());
    fc.assert(
      fc.property(headers, fc.string(), (static_headers, credential) => {
        const parted = splitSecrets({ ...VALID, static_headers, credential });
        expect(joinSecrets(parted.open, parted.secrets)).toEqual({ ...VALID, static_headers, credential });
      }),
    );
  });

  it('are kept where [REDACTED] is written back, and replaced where anything else is (lesson 46)', () => {
    const next = { ...redactConfig(config), password: 'typed' };
    expect(resolveRedacted(next, splitSecrets(config).secrets, new Set())).toEqual({
      ok: true,
      config: { ...config, password: 'typed' },
    });
  });

  it('are refused where [REDACTED] stands for nothing (lesson 46)', () => {
    const next = { ...VALID, credential: REDACTED, static_headers: { 'X-A': REDACTED } };
    const resolved = resolveRedacted(next, {}, new Set());
    if (resolved.ok) throw new Error('it was taken');
    expect(resolved.issues.map(({ path }) => path)).toEqual(['credential', 'static_headers.X-A']);
    expect(resolved.issues[0]?.message).toContain('none is stored');
  });

  it('are refused to a destination that they were not typed for (lesson 45)', () => {
    const { secrets } = splitSecrets(config);
    const resolve = (moved: 'endpoint' | 'token_endpoint') => {
      const resolved = resolveRedacted(redactConfig(config), secrets, new Set([moved]));
      return resolved.ok ? [] : resolved.issues.map(({ path }) => path);
    };
    expect(resolve('token_endpoint')).toEqual(['oauth2_client_secret', 'oauth2_client_private_key_pem']);
    expect(resolve('endpoint')).toEqual([
      'credential',
      'password',
      'mtls_client_key_pem',
      'static_headers.X-A',
      'static_headers.X-B',
    ]);
  });

  const base = { auth_mode: 'oauth' as const, ...VALID };
  const token = { oauth2_token_url: 'https://idp.example/token' };
  const moves: [string, object, object, string[]][] = [
    ['the same', base, base, []],
    ['another path', base, { ...base, endpoint: 'https://mcp.example/v2' }, []],
    ['another host', base, { ...base, endpoint: 'https://evil.example/' }, ['endpoint', 'token_endpoint']],
    ['another port', base, { ...base, endpoint: 'https://mcp.example:8443/' }, ['endpoint', 'token_endpoint']],
    ['plain http', base, { ...base, endpoint: 'http://mcp.example/' }, ['endpoint', 'token_endpoint']],
    ['a base_url instead', base, { auth_mode: 'oauth', base_url: 'https://mcp.example' }, []],
    ['a token URL elsewhere', base, { ...base, ...token }, ['token_endpoint']],
    ['an issuer elsewhere', base, { ...base, oauth2_issuer: 'https://idp.example' }, ['token_endpoint']],
    [
      'an issuer beside a token URL',
      { ...base, ...token },
      { ...base, ...token, oauth2_issuer: 'https://x.example' },
      [],
    ],
    [
      'another host beside the same token URL',
      { ...base, ...token },
      { ...base, ...token, endpoint: 'https://evil.example/' },
      ['endpoint', 'token_endpoint'],
    ],
  ];

  it.each(moves)('move with %s', (_name, stored, next, expected) => {
    expect([...movedDestinations(stored as typeof base, next as typeof base)].sort()).toEqual(expected);
  });
});
