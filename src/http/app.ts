import { type Context, Hono } from 'hono';
import { routePath } from 'hono/route';
import { ENDPOINTS, type Endpoint, type EndpointId, OPENAPI_PATH, routePattern } from '../contract/endpoints.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { PlainAnswer, PlainPost, RequestHead } from '../core/plain-post.ts';
import type { Principal } from '../core/principal.ts';
import { type AdminCall, type AdminHandlers, createAdminHandlers } from './admin.ts';
import { challengeFor, createEntrance, type Entrance } from './bearer.ts';
import { createConsent } from './callback.ts';
import { cookieNames } from './cookies.ts';
import type { HttpDeps } from './deps.ts';
import { securityHeaders, withMissing } from './headers.ts';
import { createMounted } from './mounted.ts';
import { openApiDocument } from './openapi.ts';
import { createOriginRules, type OriginRules } from './origin.ts';
import { createPortal } from './portal.ts';
import { problemResponse } from './problem.ts';
import { readInput } from './request-input.ts';
import { createSessions } from './sessions.ts';
import { createSignIn } from './sign-in.ts';

export type HttpApp = {
  fetch(request: Request): Promise<Response>;
  /** The short way of a plain POST. undefined: nothing was done yet, and `fetch` is to answer it. */
  post(post: PlainPost): Promise<PlainAnswer | Response | undefined>;
};

type Rooms = { entrance: Entrance; origins: OriginRules; handlers: AdminHandlers };
type Handle = (call: AdminCall<EndpointId>) => ReturnType<AdminHandlers[EndpointId]>;

/**
 * The web face: admin API, sign-in, OAuth callback, portal, health, and what is mounted beside them. It does not
 * listen; hand `fetch` to a server.
 */
export function createHttpApp(deps: HttpDeps): HttpApp {
  const { random, publicUrl } = deps;
  const names = cookieNames(publicUrl);
  const origins = createOriginRules(publicUrl, deps.allowedHosts);
  const sessions = createSessions(deps, names);
  const consent = createConsent({ authorize: deps.flows.authorize, origins, random, names, publicUrl });
  const signIn = createSignIn({ ...deps, sessions, origins });
  const portal = createPortal(deps.portalDir, random);
  const entrance = createEntrance(deps.apiKeys, sessions);
  const handlers = createAdminHandlers({ ...deps, consent, sessions });
  const app = new Hono();

  const secure = securityHeaders(publicUrl);
  app.onError((error, c) => failure(deps, c.req.raw, routePath(c), error));
  mountHealth(app, deps);
  app.use((c, next) => {
    origins.checkHost(c.req.raw);
    return next();
  });
  mountMetrics(app, deps, entrance);
  for (const [id, endpoint] of Object.entries(ENDPOINTS)) {
    const handle = handlers[id as EndpointId] as Handle;
    app.on(endpoint.method, routePattern(endpoint.path), (c) =>
      answer({ entrance, origins, handlers }, endpoint, handle, c),
    );
  }
  let document: Record<string, unknown> | undefined;
  app.get(OPENAPI_PATH, (c) => {
    document ??= openApiDocument({ version: deps.version, publicUrl, sessionCookie: names.session });
    return c.json(document);
  });
  if (deps.clientMetadata) {
    const metadata = deps.clientMetadata;
    app.get('/oauth/client-metadata.json', (c) => c.json(metadata, 200, { 'cache-control': 'public, max-age=300' }));
  }
  app.get('/sign-in', (c) => signIn.page(c.req.raw));
  app.post('/sign-in', (c) => signIn.submit(c.req.raw));
  app.get('/connect/:state', (c) => consent.connectPage(c.req.param('state')));
  app.post('/connect/:state', (c) => consent.connect(c.req.raw, c.req.param('state')));
  app.notFound(async (c) => (await portal.serve(c.req.raw)) ?? nowhere(c));
  const mounted = createMounted(deps.mounts);
  const admitted = (head: RequestHead): Principal => {
    origins.checkHost(head);
    origins.checkOrigin(head);
    return entrance.machine(head);
  };
  return {
    async fetch(request) {
      const found = mounted(request.url);
      if (!found) return withMissing(await app.fetch(request), secure);
      const { mount, part } = found;
      const answered = async () => mount.handle(request, admitted(request), part);
      return withMissing(await answered().catch((error) => failure(deps, request, mount.path, error)), secure);
    },
    async post(post) {
      const { mount, part } = mounted(post.url) ?? {};
      if (!mount?.post) return undefined;
      let principal: Principal;
      try {
        principal = admitted(post);
      } catch {
        // Whoever is refused is told so by `fetch`.
        return undefined;
      }
      try {
        const answer = await mount.post(post, principal, part);
        if (!answer) return undefined;
        if (answer instanceof Response) return withMissing(answer, secure);
        return { ...answer, headers: { ...secure, ...answer.headers } };
      } catch (error) {
        return withMissing(failure(deps, post, mount.path, error), secure);
      }
    },
  };
}

/** Anybody may ask, by any name: a probe of an orchestrator comes by address. */
function mountHealth(app: Hono, { health }: HttpDeps): void {
  app.get('/healthz', (c) => c.json({ status: 'ok' }, 200, { 'cache-control': 'no-store' }));
  app.get('/readyz', async (c) => {
    const { ok, checks } = await health.ready();
    return c.json({ status: ok ? 'ready' : 'not_ready', checks }, ok ? 200 : 503, { 'cache-control': 'no-store' });
  });
}

/** With a key by default: it names the connections and tells how much they are used. */
function mountMetrics(app: Hono, { metrics }: HttpDeps, entrance: Entrance): void {
  app.get('/metrics', async (c) => {
    if (metrics.access !== 'public') await entrance.admin(c.req.raw, metrics.access);
    const { content_type, text } = await metrics.read();
    return c.body(text, 200, { 'content-type': content_type, 'cache-control': 'no-store' });
  });
}

/** Who asks comes before what is asked: a stranger learns nothing from how a request is wrong. */
async function answer(rooms: Rooms, endpoint: Endpoint, handle: Handle, c: Context): Promise<Response> {
  const request = c.req.raw;
  const call: Partial<AdminCall<EndpointId>> & { request: Request } = { request };
  if (endpoint.role !== 'public') {
    rooms.origins.checkOrigin(request);
    call.caller = await rooms.entrance.admin(request, endpoint.role);
    if (call.caller.session && endpoint.method !== 'GET') rooms.origins.checkSameOrigin(request);
    Object.assign(call, await readInput(endpoint, request, c.req.param()));
  }
  const answered = await handle(call as AdminCall<EndpointId>);
  if (answered instanceof Response) return answered;
  const headers = new Headers({ 'cache-control': 'no-store' });
  if (answered.cookie) headers.append('set-cookie', answered.cookie);
  if (answered.status === 204) return new Response(null, { status: 204, headers });
  return Response.json(answered.body, { status: answered.status, headers });
}

/** An AppError as it is; of anything else only that it happened, and one line in the log. */
function failure(deps: HttpDeps, request: RequestHead, route: string, error: unknown): Response {
  const told = toAppError(error);
  const instance = told.status >= 500 ? `urn:uuid:${deps.random.uuid()}` : undefined;
  if (instance) {
    const level = told.code === 'internal' ? 'error' : 'warn';
    // The route, not the path: a path may hold a state.
    const fields = { method: request.method, route, status: told.status, code: told.code, instance };
    deps.log[level]('a request failed', { ...fields, error: told.cause ?? told });
  }
  return problemResponse(told, { instance, challenge: told.status === 401 ? challengeFor(request) : undefined });
}

function nowhere(c: Context): Response {
  const { method, path } = c.req;
  const allowed = Object.values(ENDPOINTS)
    .filter((endpoint) => new RegExp(`^${endpoint.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path))
    .map((endpoint) => endpoint.method);
  const detail =
    allowed.length > 0
      ? `${method} is not among the methods of this address, which are ${allowed.join(', ')}.`
      : `There is nothing at this address. The operations of the API are listed at ${OPENAPI_PATH}.`;
  return problemResponse(new AppError('not_found', detail));
}
