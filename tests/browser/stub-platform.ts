import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import type { ToolChangeList } from '../../src/contract/call-schemas.ts';
import { API_PREFIX } from '../../src/contract/endpoints.ts';
import {
  type AuthEvent,
  type CallList,
  type Connection,
  ERROR_TABLE,
  type ErrorCode,
  type FieldIssue,
  type OAuthStatus,
  type Problem,
  type ToolkitTest,
} from '../../src/contract/schemas.ts';
import { createPortal } from '../../src/http/portal.ts';

export type Failure = { code: ErrorCode; detail: string; issues?: FieldIssue[] };
type Operation =
  | 'list'
  | 'get'
  | 'put'
  | 'delete'
  | 'test'
  | 'connect'
  | 'refresh'
  | 'disconnect'
  | 'history'
  | 'calls'
  | 'toolChanges';

/** What the stub knows and what it was asked; a test reads and changes it at will. */
export type World = {
  signedIn: boolean;
  connections: Connection[];
  events: AuthEvent[];
  calls: CallList['calls'];
  notRecorded: CallList['not_recorded'];
  toolChanges: ToolChangeList['tool_changes'];
  failures: Partial<Record<Operation, Failure>>;
  testResult: ToolkitTest;
  afterRefresh: OAuthStatus | null;
  requests: { operation: string; body: unknown }[];
};

export function emptyWorld(): World {
  return {
    signedIn: true,
    connections: [],
    events: [],
    calls: [],
    notRecorded: null,
    toolChanges: [],
    failures: {},
    testResult: {
      ok: true,
      message: 'It answered and lists 12 tools.',
      details: { server: 'everything 2.0', tools: 12 },
    },
    afterRefresh: null,
    requests: [],
  };
}

function problem({ code, detail, issues = [] }: Failure): Response {
  const { status, title } = ERROR_TABLE[code];
  const body: Problem = { type: `urn:problem:${code}`, title, status, detail, code, issues };
  return Response.json(body, { status, headers: { 'content-type': 'application/problem+json' } });
}

const random = { bytes: (length: number) => new Uint8Array(length), uuid: () => 'uuid', fraction: () => 0 };

function mountConnections(app: Hono, world: World): void {
  const one = `${API_PREFIX}/connection-instances/:kind/:name`;
  const found = (context: Context) =>
    world.connections.find(
      ({ kind, name }) => kind === context.req.param('kind') && name === context.req.param('name'),
    );
  const absent = () => problem({ code: 'not_found', detail: 'There is no such connection.' });

  app.get(`${API_PREFIX}/connection-instances`, () => {
    const { list } = world.failures;
    return list ? problem(list) : Response.json({ connections: world.connections });
  });
  app.get(one, (context) => {
    const { get } = world.failures;
    if (get) return problem(get);
    const connection = found(context);
    return connection ? Response.json(connection) : absent();
  });
  app.put(one, async (context) => {
    const body = (await context.req.json()) as { config: Record<string, unknown>; description?: string };
    world.requests.push({ operation: 'put', body });
    if (world.failures.put) return problem(world.failures.put);
    const present = found(context);
    const { kind, name } = context.req.param() as { kind: string; name: string };
    const moment = new Date().toISOString();
    const saved: Connection = {
      ...{
        kind,
        name,
        source: 'api',
        issues: [],
        created_at: moment,
        updated_at: moment,
        updated_by: 'dana@example.com',
      },
      ...{ config: body.config, description: body.description ?? '', oauth: present?.oauth ?? null, gateway: null },
    };
    world.connections = [...world.connections.filter((each) => each !== present), saved];
    return Response.json(saved, { status: present ? 200 : 201 });
  });
  app.delete(one, (context) => {
    world.requests.push({ operation: 'delete', body: null });
    if (world.failures.delete) return problem(world.failures.delete);
    world.connections = world.connections.filter((each) => each !== found(context));
    return new Response(null, { status: 204 });
  });
}

function mountOAuth(app: Hono, world: World): void {
  const one = `${API_PREFIX}/connections/:kind/:name`;
  app.post(`${one}/test`, () => (world.failures.test ? problem(world.failures.test) : Response.json(world.testResult)));
  app.post(`${one}/oauth-start`, async (context) => {
    world.requests.push({ operation: 'connect', body: await context.req.json() });
    if (world.failures.connect) return problem(world.failures.connect);
    const authorization_url = new URL('/idp/authorize', context.req.url).href;
    return Response.json({ authorization_url, state: 's', redirect_uri: 'x', expires_at: new Date().toISOString() });
  });
  app.post(`${one}/reacquire-oauth`, () => {
    if (world.failures.refresh) return problem(world.failures.refresh);
    return Response.json({ outcome: 'refreshed', status: world.afterRefresh });
  });
  app.post(`${one}/disconnect`, () => {
    if (world.failures.disconnect) return problem(world.failures.disconnect);
    return Response.json({
      upstream: 'unsupported',
      message: 'mcp/linear is disconnected. auth.linear.example offers no revocation endpoint.',
      status: world.afterRefresh,
    });
  });
  app.get(`${one}/auth-events`, (context) => {
    if (world.failures.history) return problem(world.failures.history);
    const limit = Number(context.req.query('limit') ?? 30);
    const before = Number(context.req.query('before') ?? Number.MAX_SAFE_INTEGER);
    const older = world.events.filter(({ sequence }) => Number(sequence) < before);
    const events = older.slice(0, limit);
    return Response.json({ events, next_before: older.length > limit ? events.at(-1)?.sequence : null });
  });
  app.get('/idp/authorize', (context) => context.html('<!doctype html><title>IdP</title><h1>Identity provider</h1>'));
}

/** A page of what is sorted newest first, as the query asks for it. */
function pageOf<Item extends { id: string }>(context: Context, all: readonly Item[]) {
  const limit = Number(context.req.query('limit') ?? 30);
  const before = context.req.query('before');
  const rest = before === undefined ? all : all.slice(all.findIndex(({ id }) => id === before) + 1);
  const items = rest.slice(0, limit);
  return { items, next_before: rest.length > limit ? (items.at(-1)?.id ?? null) : null };
}

function mountRecords(app: Hono, world: World): void {
  app.get(`${API_PREFIX}/calls`, (context) => {
    if (world.failures.calls) return problem(world.failures.calls);
    const query = context.req.queries();
    world.requests.push({ operation: 'calls', body: query });
    const asked = world.calls.filter(
      ({ connection_kind, connection_name, outcome }) =>
        query.kind?.[0] === connection_kind &&
        query.name?.[0] === connection_name &&
        (query.outcome?.includes(outcome) ?? true),
    );
    const { items, next_before } = pageOf(context, asked);
    const body: CallList = { calls: items, next_before, not_recorded: world.notRecorded };
    return Response.json(body);
  });
  app.get(`${API_PREFIX}/connections/:kind/:name/tool-changes`, (context) => {
    if (world.failures.toolChanges) return problem(world.failures.toolChanges);
    const { items, next_before } = pageOf(context, world.toolChanges);
    const body: ToolChangeList = { tool_changes: items, next_before };
    return Response.json(body);
  });
}

/** The contract over the built portal, with answers that a test decides. */
export async function startStub(folder: string, world: World) {
  const app = new Hono();
  app.use(`${API_PREFIX}/*`, async (_, next) => {
    if (!world.signedIn) return problem({ code: 'unauthenticated', detail: 'Sign in.' });
    await next();
  });
  app.get(`${API_PREFIX}/session`, () =>
    Response.json({ actor: 'dana@example.com', role: 'admin', expires_at: new Date(Date.now() + 3.6e6).toISOString() }),
  );
  app.post(`${API_PREFIX}/session/sign-out`, () => {
    world.signedIn = false;
    return new Response(null, { status: 204 });
  });
  app.post('/sign-in', async (context) => {
    const form = await context.req.parseBody();
    world.requests.push({ operation: 'sign-in', body: form });
    world.signedIn = true;
    return context.redirect(String(form.return_to), 303);
  });
  mountConnections(app, world);
  mountOAuth(app, world);
  mountRecords(app, world);
  const portal = createPortal(folder, random);
  app.all('*', async ({ req }) => (await portal.serve(req.raw)) ?? new Response('not found', { status: 404 }));
  return await new Promise<{ url: string; close: () => Promise<void> }>((resolve) => {
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (info: AddressInfo) =>
      resolve({
        url: `http://127.0.0.1:${info.port}`,
        close: () => new Promise((done) => server.close(() => done())),
      }),
    );
  });
}
