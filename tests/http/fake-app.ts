import { createHash } from 'node:crypto';
import { EVERYTHING } from '../../src/core/access-rule.ts';
import type { AuthEvent } from '../../src/core/auth-event.ts';
import type { ConnectionKey } from '../../src/core/connection.ts';
import type { OAuthStatus } from '../../src/core/connection-status.ts';
import { AppError } from '../../src/core/errors.ts';
import type { AccessStore, Clock, EventQuery, Log, LogFields, Random } from '../../src/core/ports.ts';
import type { CallbackResult, ConnectionView, RefreshRequest, RefreshResult } from '../../src/flows/api.ts';
import { createApiKeys, hashToken } from '../../src/http/api-keys.ts';
import { createHttpApp } from '../../src/http/app.ts';
import type { HttpDeps } from '../../src/http/deps.ts';
import { createMemoryCallRecords } from '../support/memory-call-records.ts';
import { createMemoryDatabase } from '../support/memory-tables.ts';
import { createMemoryToolChanges } from '../support/memory-tool-changes.ts';

export const PUBLIC_URL = 'http://127.0.0.1:8080';
export const ADMIN_KEY = 'mdp_admin_key';
export const AGENT_KEY = 'mdp_agent_key';
export const NOW = Date.parse('2026-11-23T12:00:00.000Z');
export const STATE = 's'.repeat(43);
export const PROVIDER_PAGE = 'https://idp.example/authorize?state=x';

export const STATUS: OAuthStatus = {
  configured: true,
  grant: 'authorization_code',
  state: 'connected',
  health: 'ok',
  summary: 'Connected. Tokens are refreshed in the background.',
  needs_reauth: false,
  token_acquired: true,
  expires_at: '2026-11-23T12:05:00.000Z',
  last_refreshed_at: null,
  has_refresh_token: true,
  refresh_expires_at: null,
  last_error: null,
  failing_since: null,
  held_since: null,
  issuer_incident: null,
  token_url: 'https://idp.example/token',
  idp_host: 'idp.example',
  scope: null,
  authenticated_by: 'ada@example.com',
  authenticated_at: '2026-11-23T11:00:00.000Z',
  next_refresh_at: null,
  next_refresh_reason: null,
  generation: '7',
  forecast: { lives_until: null, reason: 'refreshed_automatically', sentence: 'For as long as it is honoured.' },
  provider: { id: 'keycloak', title: 'Keycloak', source: 'described' },
  renewal: 'proven',
  findings: [],
  needs_person: false,
  last_revocation: null,
};

export function viewOf(key: ConnectionKey, changes: Partial<ConnectionView> = {}): ConnectionView {
  return {
    ...key,
    description: 'Notes of the team',
    source: 'api',
    config: { endpoint: 'https://notes.example/mcp', auth_mode: 'oauth', oauth2_client_secret: '[REDACTED]' },
    issues: [],
    created_at: '2026-11-20T12:00:00.000Z',
    updated_at: '2026-11-20T12:00:00.000Z',
    updated_by: 'apikey:ops',
    oauth: STATUS,
    gateway: {
      state: 'ok',
      tools: 3,
      prompts: 0,
      resources: 1,
      listed_at: '2026-11-23T11:55:00.000Z',
      last_success_at: '2026-11-23T11:58:00.000Z',
      last_error: null,
    },
    ...changes,
  };
}

export function eventOf(sequence: number): AuthEvent {
  return {
    id: `00000000-0000-4000-8000-${String(sequence).padStart(12, '0')}`,
    sequence: String(sequence),
    occurred_at: '2026-11-23T11:00:00.000Z',
    connection_kind: 'mcp',
    connection_name: 'notes',
    event_type: 'refresh_succeeded',
    actor: 'system:background-refresh',
    idp_host: 'idp.example',
    detail: { rotated_refresh: true },
  };
}

export function memoryAccess(): AccessStore & { rows: Map<string, { actor: string; expires_at: number }> } {
  const rows = new Map<string, { actor: string; expires_at: number }>();
  const live = (key: string, now: number) => {
    const row = rows.get(key);
    return row && row.expires_at > now ? row : undefined;
  };
  return {
    rows,
    createSignInLink: async (hash, actor, expires_at) => void rows.set(`link ${hash}`, { actor, expires_at }),
    consumeSignInLink: async (hash, now) => {
      const row = live(`link ${hash}`, now);
      rows.delete(`link ${hash}`);
      return row?.actor;
    },
    createSession: async (hash, actor, expires_at) => void rows.set(`session ${hash}`, { actor, expires_at }),
    readSession: async (hash, now) => live(`session ${hash}`, now),
    deleteSession: async (hash) => void rows.delete(`session ${hash}`),
    pruneExpired: async () => 0,
  };
}

export type LogLine = { level: string; message: string; fields: LogFields };

function memoryLog(lines: LogLine[]): Log {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => memoryLog(lines) };
}

/** Different bytes at each draw, the same in each run. */
function countingRandom(): Random {
  let draws = 0;
  const bytes = (length: number) => {
    draws += 1;
    return new Uint8Array(createHash('sha512').update(String(draws)).digest().subarray(0, length));
  };
  return { bytes, uuid: () => `00000000-0000-4000-8000-${String(++draws).padStart(12, '0')}`, fraction: () => 0 };
}

export type FakeApp = ReturnType<typeof fakeApp>;

/** The web face over flows that live in memory. `calls` holds what reached them. */
export function fakeApp(changes: Partial<HttpDeps> = {}) {
  const calls: { flow: string; input: unknown }[] = [];
  const lines: LogLine[] = [];
  const time = { now: NOW };
  const database = createMemoryDatabase();
  const records = createMemoryCallRecords(database);
  const toolChanges = createMemoryToolChanges(database);
  const clock: Clock = {
    now: () => time.now,
    monotonic: () => time.now,
    sleep: async () => {},
    timeout: () => new AbortController().signal,
  };
  const views = new Map([
    ['mcp/notes', viewOf({ kind: 'mcp', name: 'notes' })],
    ['mcp/open', viewOf({ kind: 'mcp', name: 'open' }, { oauth: null, config: { auth_mode: 'none' } })],
    ['mcp/filed', viewOf({ kind: 'mcp', name: 'filed' }, { source: 'file' })],
  ]);
  const script = {
    events: [] as AuthEvent[],
    refresh: { type: 'refreshed' } as RefreshResult,
    callback: { ok: true, key: { kind: 'mcp', name: 'notes' }, return_url: '/connections/mcp/notes' } as CallbackResult,
    bound: new Map<string, string>(),
    fault: undefined as Error | undefined,
  };
  const note = (flow: string, input: unknown) => {
    calls.push({ flow, input });
    if (script.fault) throw script.fault;
  };
  const get = async (key: ConnectionKey) => {
    const found = views.get(`${key.kind}/${key.name}`);
    if (!found) throw new AppError('not_found', `There is no connection ${key.kind}/${key.name}.`);
    return found;
  };
  const editable = async (key: ConnectionKey) => {
    if (views.get(`${key.kind}/${key.name}`)?.source !== 'file') return;
    throw new AppError('managed_by_file', `${key.kind}/${key.name} is declared in the configuration file.`);
  };
  const access = memoryAccess();
  const random = countingRandom();
  const deps: HttpDeps = {
    flows: {
      clientCredentials: { acquire: async () => undefined },
      disconnect: {
        async disconnect(key, actor) {
          note('disconnect', { key, actor });
          return { upstream: 'revoked', idp_host: 'idp.example' };
        },
      },
      connections: {
        async list() {
          note('list', null);
          return [...views.values()];
        },
        get,
        async put(key, input, actor) {
          note('put', { key, input, actor });
          await editable(key);
          const created = !views.has(`${key.kind}/${key.name}`);
          const connection = viewOf(key, { ...input, updated_by: actor });
          views.set(`${key.kind}/${key.name}`, connection);
          return { created, connection };
        },
        async delete(key, actor) {
          note('delete', { key, actor });
          await get(key);
          await editable(key);
          views.delete(`${key.kind}/${key.name}`);
        },
        async test(key) {
          note('test', key);
          await get(key);
          return { ok: true, message: 'It answers.', details: { tools: 3 } };
        },
        async history(query: EventQuery) {
          note('history', query);
          return script.events.slice(0, query.limit);
        },
      },
      authorize: {
        async start(key, input) {
          note('start', { key, input });
          return {
            authorization_url: PROVIDER_PAGE,
            state: STATE,
            redirect_uri: `${PUBLIC_URL}/api/v1/admin/oauth/callback`,
            expires_at: '2026-11-23T12:10:00.000Z',
          };
        },
        async bind(state, binding) {
          note('bind', { state, binding });
          if (state !== STATE) return undefined;
          if ((script.bound.get(state) ?? binding) !== binding) return undefined;
          script.bound.set(state, binding);
          return { authorization_url: PROVIDER_PAGE };
        },
        async callback(params, binding) {
          note('callback', { params: params.toString(), binding });
          return script.callback;
        },
      },
      refresh: {
        async refresh(request: RefreshRequest) {
          note('refresh', { ...request, signal: undefined });
          return script.refresh;
        },
        inFlight: 0,
      },
    },
    access,
    calls: records,
    toolChanges,
    metrics: { access: 'admin', read: async () => ({ content_type: 'text/plain', text: 'metrics 1' }) },
    apiKeys: createApiKeys([
      { name: 'ops', role: 'admin', key_hash: hashToken(ADMIN_KEY), access: EVERYTHING },
      { name: 'bot', role: 'agent', key_hash: hashToken(AGENT_KEY), access: EVERYTHING },
    ]),
    mounts: [
      {
        path: '/mcp',
        async handle(request, principal) {
          note('mcp', { principal });
          return Response.json({ actor: principal.actor, body: await request.text() });
        },
      },
    ],
    portalDir: null,
    health: { ready: async () => ({ ok: true, checks: { database: 'ok' } }) },
    version: '1.2.3',
    engine: 'embedded',
    publicUrl: PUBLIC_URL,
    allowedHosts: [],
    clock,
    random,
    log: memoryLog(lines),
    ...changes,
  };
  const app = createHttpApp(deps);
  let sessions = 0;
  return {
    deps,
    access,
    records,
    toolChanges,
    script,
    views,
    calls,
    lines,
    time,
    reached: (flow: string) => calls.filter((call) => call.flow === flow).map(({ input }) => input),
    /** A request to the server's own address unless `path` is a whole URL. */
    async send(path: string, init: RequestInit = {}): Promise<Response> {
      const url = new URL(path, PUBLIC_URL);
      const headers = new Headers(init.headers);
      if (!headers.has('host')) headers.set('host', url.host);
      return app.fetch(new Request(url, { ...init, headers, redirect: 'manual' }));
    },
    /** A signed-in browser's Cookie header. */
    async signedIn(actor = 'ada@example.com'): Promise<string> {
      sessions += 1;
      const token = createHash('sha256').update(`session ${sessions}`).digest('base64url');
      await access.createSession(hashToken(token), actor, time.now + 3_600_000);
      return `mdp_session_8080=${token}`;
    },
  };
}

export const SAME_ORIGIN = { origin: PUBLIC_URL, 'sec-fetch-site': 'same-origin' };
export const asAdmin = { 'x-api-key': ADMIN_KEY };

export function form(fields: Record<string, string>, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', body: new URLSearchParams(fields), headers };
}

export function json(method: string, body: unknown, headers: Record<string, string> = asAdmin): RequestInit {
  return { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
}
