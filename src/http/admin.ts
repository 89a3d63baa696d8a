import type { z } from 'zod';
import type { ClientOutput } from '../contract/client.ts';
import type { EndpointId, Endpoints } from '../contract/endpoints.ts';
import type { AuthEventList, OAuthStatus } from '../contract/schemas.ts';
import { type ConnectionKey, connectionLabel } from '../core/connection.ts';
import { AppError } from '../core/errors.ts';
import type { EventQuery } from '../core/ports.ts';
import type { DisconnectResult, RefreshResult } from '../flows/api.ts';
import type { Caller } from './bearer.ts';
import { callHistory, toolChangeHistory } from './call-history.ts';
import type { Consent } from './callback.ts';
import type { HttpDeps } from './deps.ts';
import { oauthHealth, systemInfo } from './overview.ts';
import type { Sessions } from './sessions.ts';

type Checked<Id extends EndpointId, K extends string> = Endpoints[Id] extends { [P in K]: infer S extends z.ZodType }
  ? z.output<S>
  : unknown;

export type AdminCall<Id extends EndpointId> = {
  request: Request;
  params: Checked<Id, 'params'>;
  query: Checked<Id, 'query'>;
  body: Checked<Id, 'body'>;
  /** Present wherever the table asks for a role. */
  caller: Caller;
};

export type JsonAnswer<Body> = { status: keyof StatusText; body: Body; cookie?: string };
type StatusText = { 200: 'OK'; 201: 'Created'; 204: 'No Content' };

/** One function per row of the table: what it answers is typed by the row. */
export type AdminHandlers = {
  [Id in EndpointId]: Id extends 'finishConsent'
    ? (call: Pick<AdminCall<Id>, 'request'>) => Promise<Response>
    : (
        call: AdminCall<Id>,
      ) => Promise<JsonAnswer<Id extends 'finishConsent' ? never : ClientOutput<Exclude<Id, 'finishConsent'>>>>;
};

export type AdminDeps = Pick<
  HttpDeps,
  'flows' | 'calls' | 'toolChanges' | 'version' | 'engine' | 'publicUrl' | 'clock'
> & {
  consent: Consent;
  sessions: Sessions;
};

const ok = <Body>(body: Body, cookie?: string): JsonAnswer<Body> => ({ status: 200, body, cookie });
const none = (cookie?: string): JsonAnswer<undefined> => ({ status: 204, body: undefined, cookie });

function noOAuth(key: ConnectionKey): AppError {
  return new AppError(
    'invalid_request',
    `${connectionLabel(key)} does not use OAuth, so it has no token. Set auth_mode to oauth first.`,
    { issues: [{ path: 'auth_mode', message: 'is not oauth' }] },
  );
}

/** What «refresh now» came to, where it did not bring a good token. */
function refreshProblem(key: ConnectionKey, result: RefreshResult, status: OAuthStatus, now: number): AppError | null {
  const label = connectionLabel(key);
  switch (result.type) {
    case 'refreshed':
    case 'current':
      return null;
    case 'failed':
      return new AppError('token_endpoint_failed', `${label} was not refreshed. ${status.summary}`);
    case 'waiting': {
      const retry_after = Math.max(1, Math.ceil((result.until - now) / 1_000));
      const message = `${label} was not refreshed now: ${result.why}. The token is kept; try again in ${retry_after} s.`;
      return new AppError('unavailable', message, { retry_after });
    }
    case 'gone':
      return new AppError('not_found', `There is no connection ${label}.`);
    case 'no_refresh_token': {
      const message = `${label} cannot be refreshed: it has no refresh token. Reconnect it in a browser.`;
      return new AppError('needs_person', message);
    }
    case 'revoked':
    case 'not_connected':
      return new AppError('needs_person', `${label} cannot be refreshed. ${status.summary}`);
  }
}

function disconnectSentence(key: ConnectionKey, upstream: DisconnectResult['upstream'], host: string): string {
  const there: Record<typeof upstream, string> = {
    revoked: `${host} has confirmed that it revoked the token.`,
    pending: `${host} has not confirmed the revocation yet; it is tried again in the background, and the history says what came of it.`,
    unsupported: `${host} offers no revocation endpoint, so the token lives there until it ends: remove the grant in your account there if that matters.`,
    unreadable: `The stored token could not be decrypted, so it could not be revoked at ${host}: remove the grant in your account there.`,
    failed: `${host} did not revoke the token; the history says why. Remove the grant in your account there if that matters.`,
    nothing: 'It had no token; a sign-in that was begun can no longer be finished.',
  };
  return `${connectionLabel(key)} is disconnected. ${there[upstream]}`;
}

export function createAdminHandlers(deps: AdminDeps): AdminHandlers {
  const { flows, consent, sessions, clock } = deps;
  const { connections } = flows;

  async function statusOf(key: ConnectionKey): Promise<OAuthStatus> {
    const { oauth } = await connections.get(key);
    if (!oauth) throw noOAuth(key);
    return oauth;
  }

  async function history(query: EventQuery): Promise<AuthEventList> {
    // One more than asked for tells whether there is another page.
    const found = await connections.history({ ...query, limit: query.limit + 1 });
    const events = found.slice(0, query.limit);
    const last = events.at(-1);
    return { events, next_before: found.length > query.limit && last ? last.sequence : null };
  }

  return {
    listConnections: async () => ok({ connections: await connections.list() }),
    getConnection: async ({ params }) => ok(await connections.get(params)),

    async putConnection({ params, body, caller }) {
      const description = body.description ?? (await descriptionOf(params));
      const input = { config: body.config, description };
      const { created, connection } = await connections.put(params, input, caller.principal.actor);
      return { status: created ? 201 : 200, body: connection };
    },

    async deleteConnection({ params, caller }) {
      await connections.delete(params, caller.principal.actor);
      return none();
    },

    testConnection: async ({ params, request }) => ok(await connections.test(params, request.signal)),

    async startConsent({ params, body, caller, request }) {
      const { actor } = caller.principal;
      const started = await flows.authorize.start(params, { ...body, actor });
      const handed = await consent.hand(request, started, caller.session !== null);
      return ok(handed.consent, handed.cookie);
    },

    getOAuthStatus: async ({ params }) => ok(await statusOf(params)),

    async listConnectionEvents({ params, query }) {
      const page = await history({ key: params, ...query });
      // A connection that never was is a typing error; a deleted one has its history.
      if (page.events.length === 0 && !query.before && !query.type) await connections.get(params);
      return ok(page);
    },

    listEvents: async ({ query }) => ok(await history(query)),

    listCalls: async ({ query }) => ok(await callHistory(deps.calls, query)),

    async listToolChanges({ params, query }) {
      const page = await toolChangeHistory(deps.toolChanges, params, query);
      if (page.tool_changes.length === 0 && !query.before) await connections.get(params);
      return ok(page);
    },

    async reacquireOAuth({ params, caller, request }) {
      const { grant, token_acquired } = await statusOf(params);
      const { actor } = caller.principal;
      if (grant === 'client_credentials' && !token_acquired) {
        await flows.clientCredentials.acquire(params, actor);
        return ok({ outcome: 'refreshed', status: await statusOf(params) });
      }
      const result = await flows.refresh.refresh({ key: params, reason: 'operator', actor, signal: request.signal });
      const status = await statusOf(params);
      const problem = refreshProblem(params, result, status, clock.now());
      if (problem) throw problem;
      return ok({ outcome: result.type === 'refreshed' ? 'refreshed' : 'current', status });
    },

    async disconnectOAuth({ params, caller }) {
      await statusOf(params);
      const { upstream, idp_host } = await flows.disconnect.disconnect(params, caller.principal.actor);
      const message = disconnectSentence(params, upstream, idp_host ?? 'the identity provider');
      return ok({ upstream, message, status: await statusOf(params) });
    },

    getOAuthHealth: async () => ok(await oauthHealth(connections)),

    finishConsent: ({ request }) => consent.callback(request),

    async getSession({ caller }) {
      const { principal, session } = caller;
      const expires_at = session && new Date(session.expires_at).toISOString();
      return ok({ actor: principal.actor, role: principal.role, expires_at });
    },

    async signOut({ caller }) {
      if (!caller.session) return none();
      await sessions.end(caller.session);
      return none(sessions.forget);
    },

    getSystem: async () => ok(systemInfo(deps)),
  };

  async function descriptionOf(key: ConnectionKey): Promise<string> {
    const all = await connections.list();
    return all.find(({ kind, name }) => kind === key.kind && name === key.name)?.description ?? '';
  }
}
