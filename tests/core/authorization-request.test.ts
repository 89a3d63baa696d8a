import { describe, expect, it } from 'vitest';
import {
  authorizationUrl,
  chooseResource,
  chooseScope,
  defaultAuthMethod,
  originOfTrust,
  readAuthorizationResponse,
} from '../../src/core/authorization-request.ts';
import type { ConnectionConfig } from '../../src/core/connection.ts';
import { providerProfile } from '../../src/core/provider-profile.ts';

const noMetadata = { challenge_scope: null, resource_scopes_supported: null, scopes_supported: null };
const unknown = providerProfile(undefined, null);
const config = (fields: Partial<ConnectionConfig>): ConnectionConfig => ({ auth_mode: 'oauth', ...fields });

describe('the scope to ask for', () => {
  it('is what the operator wrote, verbatim, whatever the server offers', () => {
    const metadata = { ...noMetadata, challenge_scope: 'x', scopes_supported: ['offline_access'] };
    expect(chooseScope({ oauth2_scope: 'a  b' }, metadata, unknown)).toEqual({ scope: 'a  b' });
  });

  it('is the scope of the challenge before that of the resource metadata', () => {
    const metadata = { ...noMetadata, challenge_scope: 'one', resource_scopes_supported: ['two', 'three'] };
    expect(chooseScope({}, metadata, unknown)).toEqual({ scope: 'one' });
    expect(chooseScope({}, { ...metadata, challenge_scope: null }, unknown)).toEqual({ scope: 'two three' });
  });

  it('gains offline_access, with a consent, where the server lists it', () => {
    const metadata = { ...noMetadata, challenge_scope: 'read', scopes_supported: ['openid', 'offline_access'] };
    expect(chooseScope({}, metadata, unknown)).toEqual({ scope: 'read offline_access', prompt: 'consent' });
  });

  it('asks for the consent too when the challenge itself named offline_access', () => {
    const metadata = { ...noMetadata, challenge_scope: 'read offline_access' };
    expect(chooseScope({}, metadata, unknown)).toEqual({ scope: 'read offline_access', prompt: 'consent' });
  });

  it('asks for the consent too when the operator named offline_access: else it would be dropped in silence', () => {
    expect(chooseScope({ oauth2_scope: 'openid offline_access' }, noMetadata, unknown)).toEqual({
      scope: 'openid offline_access',
      prompt: 'consent',
    });
  });

  it('is left out when nobody knows any: the server then gives its default', () => {
    expect(chooseScope({ oauth2_scope: '' }, noMetadata, unknown)).toEqual({ scope: null });
    expect(chooseScope({}, noMetadata, providerProfile('salesforce', null))).toEqual({ scope: null });
  });

  it("is the provider's own for a refresh token, beside others or where listed", () => {
    const salesforce = providerProfile('salesforce', null);
    expect(chooseScope({}, { ...noMetadata, challenge_scope: 'api' }, salesforce)).toEqual({
      scope: 'api refresh_token',
    });
    const unlisted = { ...noMetadata, challenge_scope: 'api', scopes_supported: ['api'] };
    expect(chooseScope({}, unlisted, salesforce)).toEqual({ scope: 'api' });
  });
});

describe('the resource to name', () => {
  const endpoint = 'https://mcp.example/mcp';

  it.each([
    ['what the metadata says', 'mcp', {}, 'https://mcp.example', unknown, 'https://mcp.example'],
    ['else the endpoint as typed', 'mcp', {}, null, unknown, endpoint],
    ['nothing when switched off', 'mcp', { oauth2_resource: 'off' }, 'https://mcp.example', unknown, null],
    ['the one that was typed', 'api', { oauth2_resource: 'urn:x' }, null, unknown, 'urn:x'],
    ['nothing for another kind', 'api', {}, 'https://mcp.example', unknown, null],
    ['nothing where the provider refuses it', 'mcp', {}, null, providerProfile('entra', null), null],
  ] as const)('is %s', (_title, kind, fields, resource, profile, expected) => {
    expect(chooseResource(kind, { endpoint, ...fields }, { resource }, profile)).toBe(expected);
  });
});

describe('client authentication nobody configured', () => {
  it.each([
    [false, ['client_secret_basic'], 'none'],
    [true, null, 'client_secret_basic'],
    [true, ['client_secret_post', 'none'], 'client_secret_post'],
    [true, ['client_secret_post', 'client_secret_basic'], 'client_secret_basic'],
    [true, ['private_key_jwt'], 'client_secret_basic'],
  ] as const)('with secret %s and %j listed it is %s', (secret, supported, expected) => {
    expect(defaultAuthMethod(secret, supported)).toBe(expected);
  });
});

describe('the authorization URL', () => {
  const request = {
    authorization_endpoint: 'https://as.example/authorize?tenant=1',
    client_id: 'c&d',
    redirect_uri: 'http://127.0.0.1:8080/cb',
    state: 's',
    code_challenge: 'cc',
    scope: 'a b',
    resource: 'https://mcp.example/mcp',
  };

  it('keeps the query of the endpoint and carries PKCE, scope and resource', () => {
    const url = new URL(authorizationUrl({ ...request, prompt: 'consent' }));
    expect(Object.fromEntries(url.searchParams)).toEqual({
      tenant: '1',
      response_type: 'code',
      client_id: 'c&d',
      redirect_uri: 'http://127.0.0.1:8080/cb',
      state: 's',
      code_challenge: 'cc',
      code_challenge_method: 'S256',
      scope: 'a b',
      resource: 'https://mcp.example/mcp',
      prompt: 'consent',
    });
  });

  it('leaves out what is not there', () => {
    const url = new URL(authorizationUrl({ ...request, scope: null, resource: null }));
    expect(['scope', 'resource', 'prompt'].filter((name) => url.searchParams.has(name))).toEqual([]);
  });

  it('lets no extra parameter replace one of the flow', () => {
    const extra = { access_type: 'offline', state: 'evil', redirect_uri: 'https://evil.example', prompt: 'login' };
    const url = new URL(authorizationUrl({ ...request, extra }));
    expect(url.searchParams.getAll('state')).toEqual(['s']);
    expect(url.searchParams.get('redirect_uri')).toBe('http://127.0.0.1:8080/cb');
    expect(url.searchParams.get('access_type')).toBe('offline');
    expect(url.searchParams.get('prompt')).toBe('login');
  });
});

describe('the origin of trust', () => {
  it('is the typed URL nearest to the token endpoint', () => {
    const endpoint = 'https://mcp.example/mcp';
    expect(originOfTrust(config({ endpoint }))).toBe(endpoint);
    expect(originOfTrust(config({ endpoint, oauth2_issuer: 'https://as.example' }))).toBe('https://as.example');
    const typed = { endpoint, oauth2_issuer: 'https://as.example', oauth2_token_url: 'http://10.0.0.1/token' };
    expect(originOfTrust(config(typed))).toBe('http://10.0.0.1/token');
  });
});

describe('the answer that the browser brings back', () => {
  const issuer = 'https://as.example';
  it.each([
    ['code=c&state=s', { issuer: null, iss_required: false }, { type: 'code', code: 'c' }],
    ['code=c&iss=https://as.example', { issuer, iss_required: true }, { type: 'code', code: 'c' }],
    ['code=c&iss=https://evil.example', { issuer, iss_required: false }, { type: 'problem', problem: 'wrong_issuer' }],
    ['code=c&iss=https://as.example/', { issuer, iss_required: true }, { type: 'problem', problem: 'wrong_issuer' }],
    ['code=c', { issuer, iss_required: true }, { type: 'problem', problem: 'missing_issuer' }],
    ['code=c', { issuer, iss_required: false }, { type: 'code', code: 'c' }],
    [
      'error=access_denied&error_description=secret',
      { issuer, iss_required: false },
      { type: 'error', error: 'access_denied' },
    ],
    [
      'error=access_denied&iss=https://evil.example',
      { issuer, iss_required: false },
      { type: 'problem', problem: 'wrong_issuer' },
    ],
    ['error=you%20are%20bad<script>', { issuer: null, iss_required: false }, { type: 'error', error: 'unrecognised' }],
    ['code=a&code=b', { issuer: null, iss_required: false }, { type: 'problem', problem: 'repeated_parameter' }],
    ['code=', { issuer: null, iss_required: false }, { type: 'problem', problem: 'missing_code' }],
    ['', { issuer: null, iss_required: false }, { type: 'problem', problem: 'missing_code' }],
  ])('"%s" is judged by issuer and contents', (query, expected, answer) => {
    expect(readAuthorizationResponse(new URLSearchParams(query), expected)).toEqual(answer);
  });
});
