import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ENDPOINTS } from '../../src/contract/endpoints.ts';
import { EVERYTHING } from '../../src/core/access-rule.ts';
import { createApiKeys, hashToken } from '../../src/http/api-keys.ts';
import { asAdmin, fakeApp } from './fake-app.ts';

describe('the portal', () => {
  let root = '';
  let folder = '';
  const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

  beforeAll(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'portal-'));
    folder = path.join(root, 'portal');
    await mkdir(path.join(folder, 'assets'), { recursive: true });
    await writeFile(path.join(folder, 'index.html'), '<!doctype html><title>portal</title>');
    await writeFile(path.join(folder, 'favicon.svg'), '<svg/>');
    await writeFile(path.join(folder, 'assets', 'main-abc123.js'), 'export {};');
    await writeFile(path.join(folder, '.env'), 'SECRET=hunter2');
    await writeFile(path.join(root, 'outside.txt'), 'SECRET=hunter2');
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('is one page for every address that a browser opens', async () => {
    const app = fakeApp({ portalDir: folder });
    for (const address of ['/', '/connections', '/connections/mcp/notes?connected=1', '/anything/else']) {
      const answer = await app.send(address, { headers: html });
      expect([address, answer.status]).toEqual([address, 200]);
      expect(await answer.text()).toContain('<title>portal</title>');
      expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(answer.headers.get('cache-control')).toBe('no-cache');
    }
  });

  it('has a strict policy', async () => {
    const answer = await fakeApp({ portalDir: folder }).send('/', { headers: html });
    const policy = answer.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(answer.headers.get('x-frame-options')).toBe('DENY');
  });

  it('keeps hashed assets for ever and asks for the rest anew', async () => {
    const app = fakeApp({ portalDir: folder });
    const asset = await app.send('/assets/main-abc123.js');
    expect(asset.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    const icon = await app.send('/favicon.svg');
    expect(icon.headers.get('cache-control')).toBe('no-cache');
    const etag = icon.headers.get('etag') ?? '';
    const known = await app.send('/favicon.svg', { headers: { 'if-none-match': `W/${etag}` } });
    expect([known.status, await known.text()]).toEqual([304, '']);
  });

  it('answers HEAD without a body', async () => {
    const answer = await fakeApp({ portalDir: folder }).send('/assets/main-abc123.js', { method: 'HEAD' });
    expect([answer.status, await answer.text()]).toEqual([200, '']);
  });

  it.each([
    '/../outside.txt',
    '/%2e%2e/outside.txt',
    '/..%2foutside.txt',
    '/%2e%2e%2foutside.txt',
    '/assets/..%2f..%2foutside.txt',
    '/assets/..%5c..%5coutside.txt',
    '/.env',
    '/%2eenv',
    '/assets/%00',
    '/%ff',
    '//etc/passwd',
    '/%2fetc%2fpasswd',
  ])('gives nothing that is not its own: %s', async (address) => {
    const answer = await fakeApp({ portalDir: folder }).send(`http://127.0.0.1:8080${address}`, { headers: html });
    expect(await answer.text()).not.toMatch(/hunter2|root:/);
  });

  it('does not answer programs with its page', async () => {
    const app = fakeApp({ portalDir: folder });
    for (const address of [
      '/assets/gone.js',
      '/robots.txt',
      '/api',
      '/api/v2/x',
      '/.well-known/oauth-protected-resource',
      '/.well-known/oauth-authorization-server/mcp',
      '/mcp/other/deeper',
    ]) {
      const answer = await app.send(address, { headers: html });
      expect([address, answer.status]).toEqual([address, 404]);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
    }
    expect((await app.send('/connections', { headers: { accept: 'application/json' } })).status).toBe(404);
    expect((await app.send('/register', { method: 'POST' })).status).toBe(404);
  });

  it('says what to do when it is not built', async () => {
    for (const portalDir of [null, path.join(root, 'missing')]) {
      const answer = await fakeApp({ portalDir }).send('/', { headers: html });
      expect(answer.status).toBe(503);
      expect(await answer.text()).toContain('npm run build');
    }
  });
});

describe('health', () => {
  it('tells alive from ready', async () => {
    const app = fakeApp({ health: { ready: async () => ({ ok: false, checks: { database: 'failing' } }) } });
    expect((await app.send('/healthz')).status).toBe(200);
    const answer = await app.send('/readyz');
    expect(answer.status).toBe(503);
    expect(await answer.json()).toEqual({ status: 'not_ready', checks: { database: 'failing' } });
  });
});

describe('the client metadata document', () => {
  it('is there only where one is given', async () => {
    const metadata = { client_id: 'https://mcp.example.com/oauth/client-metadata.json' };
    const answer = await fakeApp({ clientMetadata: metadata }).send('/oauth/client-metadata.json');
    expect(await answer.json()).toEqual(metadata);
    expect((await fakeApp().send('/oauth/client-metadata.json')).status).toBe(404);
  });
});

describe('API keys', () => {
  it('are refused at start-up when a hash is none', () => {
    expect(() => createApiKeys([{ name: 'x', role: 'admin', key_hash: 'plain', access: EVERYTHING }])).toThrow(
      /API key "x"/,
    );
  });

  it('tell an admin from an agent and from nobody', () => {
    const keys = createApiKeys([
      { name: 'a', role: 'admin', key_hash: hashToken('one'), access: EVERYTHING },
      { name: 'b', role: 'agent', key_hash: hashToken('two'), access: EVERYTHING },
    ]);
    expect(keys.verify('one')).toEqual({ actor: 'apikey:a', role: 'admin', via: 'api_key', access: EVERYTHING });
    expect(keys.verify('two')).toMatchObject({ role: 'agent' });
    expect([keys.verify(''), keys.verify('three'), createApiKeys([]).verify('one')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('the OpenAPI document', () => {
  const operationSchema = z.strictObject({
    operationId: z.string(),
    summary: z.string().min(1),
    parameters: z
      .array(
        z.strictObject({
          name: z.string(),
          in: z.enum(['path', 'query']),
          required: z.boolean(),
          schema: z.record(z.string(), z.unknown()),
        }),
      )
      .optional(),
    requestBody: z.strictObject({ required: z.boolean(), content: z.record(z.string(), z.unknown()) }).optional(),
    responses: z.record(
      z.string().regex(/^[1-5]\d\d$/),
      z.strictObject({ description: z.string().min(1), content: z.record(z.string(), z.unknown()).optional() }),
    ),
    security: z.array(z.record(z.string(), z.array(z.string()))),
    'x-required-role': z.enum(['public', 'agent', 'admin']),
  });
  const documentSchema = z.strictObject({
    openapi: z.literal('3.1.0'),
    info: z.looseObject({ title: z.string(), version: z.literal('1.2.3') }),
    servers: z.array(z.strictObject({ url: z.url() })),
    paths: z.record(
      z.string().startsWith('/'),
      z.partialRecord(z.enum(['get', 'put', 'post', 'delete']), operationSchema),
    ),
    components: z.strictObject({
      schemas: z.record(z.string(), z.looseObject({})),
      securitySchemes: z.record(z.string(), z.looseObject({ type: z.enum(['apiKey', 'http']) })),
    }),
  });
  const read = async () => (await fakeApp().send('/api/v1/openapi.json')).json();

  it('is well formed, and lists each operation with its role, parameters and answers', async () => {
    const document = documentSchema.parse(await read());
    const rows = Object.entries(ENDPOINTS);
    for (const [id, endpoint] of rows) {
      const operation = document.paths[endpoint.path]?.[endpoint.method.toLowerCase() as 'get'];
      expect(operation?.operationId).toBe(id);
      expect(operation?.['x-required-role']).toBe(endpoint.role);
      expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(Object.keys(endpoint.responses)));
      const inPath = operation?.parameters
        ?.filter((parameter) => parameter.in === 'path')
        .map(({ name }) => `{${name}}`);
      expect(inPath ?? []).toEqual(endpoint.path.match(/\{\w+\}/g) ?? []);
      expect(operation?.security.length === 0).toBe(endpoint.role === 'public');
      if (endpoint.role !== 'public')
        expect(Object.keys(operation?.responses ?? {})).toEqual(expect.arrayContaining(['401', '403']));
    }
    const listed = Object.values(document.paths).flatMap((item) => Object.keys(item));
    expect(listed).toHaveLength(rows.length);
  });

  it('has no reference that leads nowhere', async () => {
    const document = await read();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target ?? '');
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) {
      expect(documentSchema.parse(document).components.schemas).toHaveProperty(
        reference.replace('#/components/schemas/', ''),
      );
    }
    expect(JSON.stringify(document)).not.toMatch(/"\$(?:id|schema|defs)"/);
  });

  it('is public, and says nothing that a stranger may not know', async () => {
    expect((await fakeApp().send('/api/v1/openapi.json')).status).toBe(200);
    expect((await fakeApp().send('/api/v1/openapi.json', { headers: asAdmin })).status).toBe(200);
  });
});
