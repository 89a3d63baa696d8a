import { describe, expect, it } from 'vitest';
import { fieldsFor } from '../../portal/src/text/config-field.ts';
import { issuesAt, issuesElsewhere, missingFields, readForm, textsOf } from '../../portal/src/text/config-form.ts';
import { apiConfigSchema } from '../../src/core/api-config.ts';
import { mcpConfigSchema } from '../../src/core/connection.ts';

const STORED = {
  endpoint: 'https://mcp.example.com/mcp',
  auth_mode: 'oauth',
  oauth2_client_id: 'us',
  oauth2_client_secret: '[REDACTED]',
  oauth2_grant: 'authorization_code',
  static_headers: { 'X-Team': '[REDACTED]' },
};

describe('the form of a configuration', () => {
  it('gives back what was stored when nothing is changed, with keys that it does not show', () => {
    expect(readForm('mcp', 'oauth', textsOf('mcp', STORED), STORED)).toEqual({ ok: true, config: STORED });
  });

  it('leaves out what was emptied', () => {
    const read = readForm('mcp', 'oauth', { ...textsOf('mcp', STORED), oauth2_client_secret: '' }, STORED);
    expect(read.ok && 'oauth2_client_secret' in read.config).toBe(false);
  });

  it('takes a secret as typed and trims everything else', () => {
    const texts = { endpoint: '  https://x.example/mcp ', credential: ' secret ' };
    expect(readForm('mcp', 'bearer', texts, {})).toEqual({
      ok: true,
      config: { auth_mode: 'bearer', endpoint: 'https://x.example/mcp', credential: ' secret ' },
    });
  });

  it('reads a number as one, and keeps a stored description', () => {
    const stored = {
      base_url: 'https://a.example',
      auth_mode: 'none',
      openapi_spec: '[REDACTED]',
      max_response_bytes: 2048,
    };
    expect(readForm('api', 'none', textsOf('api', stored), stored)).toEqual({ ok: true, config: stored });
    const wrong = { base_url: 'https://a.example', max_response_bytes: 'much' };
    expect(readForm('api', 'none', wrong, {})).toMatchObject({ issues: [{ path: 'max_response_bytes' }] });
  });

  it('reads a map by its lines, and names the line that is none', () => {
    const read = (static_headers: string) => readForm('mcp', 'none', { static_headers }, {});
    expect(read('X-A: 1\n\nX-B: a:b ')).toMatchObject({ config: { static_headers: { 'X-A': '1', 'X-B': 'a:b' } } });
    expect(read('X-A 1')).toMatchObject({ ok: false, issues: [{ path: 'static_headers' }] });
  });

  it('puts an issue at its field, parts of a map included, and keeps the rest for a list', () => {
    const issues = [
      { path: 'endpoint', message: 'must be a URL' },
      { path: 'static_headers.Host', message: 'is set by the platform' },
      { path: 'kind', message: 'is not known' },
    ];
    expect(issuesAt(issues, 'endpoint')).toEqual(['Must be a URL']);
    expect(issuesAt(issues, 'static_headers')).toEqual(['Host is set by the platform']);
    expect(issuesElsewhere(issues, ['endpoint', 'static_headers'])).toEqual([issues[2]]);
  });

  it.each(['mcp', 'api'])('asks where an API key goes, and for the name of that place alone (%s)', (kind) => {
    const keys = (texts: Record<string, string>) => fieldsFor(kind, 'api_key', texts).map(({ key }) => key);
    expect(keys({})).toEqual(expect.arrayContaining(['credential', 'api_key_placement', 'api_key_header']));
    expect(keys({})).not.toContain('api_key_param');
    const query = { credential: 'k', api_key_placement: 'query', api_key_param: 'key', api_key_header: 'X-Old' };
    expect(keys(query)).toContain('api_key_param');
    expect(keys(query)).not.toContain('api_key_header');
    expect(readForm(kind, 'api_key', query, query)).toEqual({
      ok: true,
      config: { auth_mode: 'api_key', credential: 'k', api_key_placement: 'query', api_key_param: 'key' },
    });
  });

  it('names what is needed and not there, of the fields that are shown', () => {
    const missing = (mode: 'basic' | 'api_key', texts: Record<string, string>) =>
      missingFields('api', mode, { base_url: 'https://a.example', ...texts }).map(({ path }) => path);
    expect(missing('basic', { username: ' ' })).toEqual(['username', 'password']);
    expect(missing('api_key', { credential: 'k' })).toEqual([]);
    expect(missing('api_key', { credential: 'k', api_key_placement: 'query' })).toEqual(['api_key_param']);
    expect(missingFields('api', 'basic', { username: 'u', password: 'p' })).toEqual([
      { path: 'base_url', message: 'is needed' },
    ]);
  });

  it.each([
    ['mcp', mcpConfigSchema],
    ['api', apiConfigSchema],
  ])('offers only keys that the server knows (%s)', (kind, schema) => {
    const known = Object.keys(schema.shape);
    for (const mode of ['none', 'bearer', 'api_key', 'basic', 'oauth'] as const) {
      for (const texts of [{ api_key_placement: '' }, { api_key_placement: 'query' }]) {
        expect(known).toEqual(expect.arrayContaining(fieldsFor(kind, mode, texts).map((field) => field.key)));
      }
    }
  });
});
