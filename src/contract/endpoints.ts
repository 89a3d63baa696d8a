import { z } from 'zod';
import type { ErrorCode } from '../core/errors.ts';
import { toolChangeListSchema, toolChangeQuerySchema } from './call-schemas.ts';
import {
  authEventListSchema,
  authEventQuerySchema,
  callListSchema,
  callQuerySchema,
  connectionInputSchema,
  connectionListSchema,
  connectionParamsSchema,
  connectionSchema,
  consentInputSchema,
  consentStartedSchema,
  disconnectResultSchema,
  oauthHealthSchema,
  oauthStatusSchema,
  reacquireResultSchema,
  sessionSchema,
  systemInfoSchema,
  toolkitTestSchema,
} from './schemas.ts';

export const API_PREFIX = '/api/v1/admin';
export const CALLBACK_PATH = `${API_PREFIX}/oauth/callback`;
export const OPENAPI_PATH = '/api/v1/openapi.json';

/** `agent`: anybody who is authenticated. */
export type RequiredRole = 'public' | 'agent' | 'admin';

export type EndpointResponse =
  | { content: 'json'; description: string; schema: z.ZodType }
  | { content: 'html' | 'none'; description: string };

/** One operation of the admin API. Routes, the OpenAPI document, the client and the role tests are derived from it. */
export type Endpoint = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Whole, with `{kind}` and `{name}` where a connection is meant. */
  path: `/${string}`;
  role: RequiredRole;
  summary: string;
  params?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** Bytes; a mebibyte when left out. */
  body_limit?: number;
  responses: Readonly<Record<number, EndpointResponse>>;
  /** Besides those that any operation may answer: see `problemsOf`. */
  problems: readonly ErrorCode[];
};

const connectionPath = `${API_PREFIX}/connections/{kind}/{name}` as const;
const instancePath = `${API_PREFIX}/connection-instances/{kind}/{name}` as const;

function json<S extends z.ZodType>(description: string, schema: S) {
  return { content: 'json', description, schema } as const;
}

/**
 * The admin API, whole.
 * @see https://www.rfc-editor.org/rfc/rfc9457 for the shape of every failure
 */
export const ENDPOINTS = {
  listConnections: {
    method: 'GET',
    path: `${API_PREFIX}/connection-instances`,
    role: 'admin',
    summary: 'List the connections, invalid ones included.',
    responses: { 200: json('Every connection.', connectionListSchema) },
    problems: [],
  },
  getConnection: {
    method: 'GET',
    path: instancePath,
    role: 'admin',
    summary: 'Read one connection, its secrets redacted.',
    params: connectionParamsSchema,
    responses: { 200: json('The connection.', connectionSchema) },
    problems: ['not_found'],
  },
  putConnection: {
    method: 'PUT',
    path: instancePath,
    role: 'admin',
    summary: 'Create a connection or replace its configuration.',
    params: connectionParamsSchema,
    body: connectionInputSchema,
    // The description of an API may lie in it.
    body_limit: 50_331_648,
    responses: { 200: json('Replaced.', connectionSchema), 201: json('Created.', connectionSchema) },
    problems: ['managed_by_file', 'conflict', 'invalid_config', 'secret_required'],
  },
  deleteConnection: {
    method: 'DELETE',
    path: instancePath,
    role: 'admin',
    summary: 'Delete a connection and its tokens; its history stays.',
    params: connectionParamsSchema,
    responses: { 204: { content: 'none', description: 'Deleted.' } },
    problems: ['not_found', 'managed_by_file', 'conflict'],
  },
  testConnection: {
    method: 'POST',
    path: `${connectionPath}/test`,
    role: 'admin',
    summary: 'Ask the upstream whether the connection works, now.',
    params: connectionParamsSchema,
    responses: {
      200: json('What came of it; `ok: false` is a result, not a failure of this server.', toolkitTestSchema),
    },
    problems: ['not_found', 'invalid_config', 'needs_person', 'upstream_failed', 'upstream_unreachable', 'timeout'],
  },
  startConsent: {
    method: 'POST',
    path: `${connectionPath}/oauth-start`,
    role: 'admin',
    summary: 'Begin the consent in a browser; valid for ten minutes, once.',
    params: connectionParamsSchema,
    body: consentInputSchema,
    responses: { 200: json('Where to send the browser.', consentStartedSchema) },
    problems: ['not_found', 'invalid_config', 'discovery_failed', 'registration_failed', 'egress_refused', 'timeout'],
  },
  getOAuthStatus: {
    method: 'GET',
    path: `${connectionPath}/oauth-status`,
    role: 'admin',
    summary: 'The state of one OAuth connection, and what to do next.',
    params: connectionParamsSchema,
    responses: { 200: json('The status.', oauthStatusSchema) },
    problems: ['not_found'],
  },
  listConnectionEvents: {
    method: 'GET',
    path: `${connectionPath}/auth-events`,
    role: 'admin',
    summary: 'The history of one connection, newest first; that of a deleted one, too.',
    params: connectionParamsSchema,
    query: authEventQuerySchema,
    responses: { 200: json('A page of the history.', authEventListSchema) },
    problems: ['not_found'],
  },
  listToolChanges: {
    method: 'GET',
    path: `${connectionPath}/tool-changes`,
    role: 'admin',
    summary: "How the upstream's tools changed between listings, newest first; of a deleted connection, too.",
    params: connectionParamsSchema,
    query: toolChangeQuerySchema,
    responses: { 200: json('A page of the changes.', toolChangeListSchema) },
    problems: ['not_found'],
  },
  listEvents: {
    method: 'GET',
    path: `${API_PREFIX}/auth-events`,
    role: 'admin',
    summary: 'The history of all connections, newest first.',
    query: authEventQuerySchema,
    responses: { 200: json('A page of the history.', authEventListSchema) },
    problems: [],
  },
  listCalls: {
    method: 'GET',
    path: `${API_PREFIX}/calls`,
    role: 'admin',
    summary: 'The calls through the gateways, newest first; those of a deleted connection, too.',
    query: callQuerySchema,
    responses: { 200: json('A page of the records.', callListSchema) },
    problems: [],
  },
  reacquireOAuth: {
    method: 'POST',
    path: `${connectionPath}/reacquire-oauth`,
    role: 'admin',
    summary: 'Refresh now. 409 when only a person can help, 503 with Retry-After while another attempt is open.',
    params: connectionParamsSchema,
    responses: { 200: json('The token is good.', reacquireResultSchema) },
    problems: ['not_found', 'needs_person', 'token_endpoint_failed'],
  },
  disconnectOAuth: {
    method: 'POST',
    path: `${connectionPath}/disconnect`,
    role: 'admin',
    summary:
      'Drop the token and end every consent that was begun, then revoke the token at the authorization server (RFC 7009).',
    params: connectionParamsSchema,
    responses: { 200: json('Disconnected here; `upstream` says what became of it there.', disconnectResultSchema) },
    problems: ['not_found', 'conflict'],
  },
  getOAuthHealth: {
    method: 'GET',
    path: `${API_PREFIX}/connections/oauth-health`,
    role: 'admin',
    summary: 'The status of every OAuth connection at once.',
    responses: { 200: json('Those with auth_mode oauth.', oauthHealthSchema) },
    problems: [],
  },
  finishConsent: {
    method: 'GET',
    path: CALLBACK_PATH,
    role: 'public',
    summary: "The redirect URI: an authorization server sends the operator's browser here.",
    /** Open: a server may add parameters of its own (RFC 6749 §4.1.2). */
    query: z.looseObject({}),
    responses: {
      303: { content: 'none', description: 'Connected; back to where the consent was begun.' },
      400: { content: 'html', description: 'A page that says what went wrong and what to do.' },
      500: { content: 'html', description: 'The same, when this server failed.' },
      502: { content: 'html', description: 'The same, when the authorization server failed.' },
      503: { content: 'html', description: 'The same, when the database cannot be reached.' },
      504: { content: 'html', description: 'The same, when the authorization server did not answer in time.' },
    },
    problems: [],
  },
  getSession: {
    method: 'GET',
    path: `${API_PREFIX}/session`,
    role: 'agent',
    summary: 'Who is asking.',
    responses: { 200: json('The caller.', sessionSchema) },
    problems: [],
  },
  signOut: {
    method: 'POST',
    path: `${API_PREFIX}/session/sign-out`,
    role: 'agent',
    summary: 'End the browser session of this request, if it has one.',
    responses: { 204: { content: 'none', description: 'Signed out.' } },
    problems: [],
  },
  getSystem: {
    method: 'GET',
    path: `${API_PREFIX}/system`,
    role: 'admin',
    summary: 'What runs here.',
    responses: { 200: json('Version, engine and addresses.', systemInfoSchema) },
    problems: [],
  },
} as const satisfies Record<string, Endpoint>;

export type Endpoints = typeof ENDPOINTS;
export type EndpointId = keyof Endpoints;

/** Every problem that an operation may answer with, those of its row and those that follow from its shape. */
export function problemsOf(endpoint: Endpoint): ErrorCode[] {
  const codes = new Set<ErrorCode>(endpoint.problems);
  if (endpoint.role !== 'public') codes.add('unauthenticated').add('forbidden');
  if (endpoint.params || endpoint.query || endpoint.body) codes.add('invalid_request');
  if (endpoint.body) codes.add('payload_too_large');
  return [...codes, 'database_unavailable', 'unavailable', 'internal'];
}

/** `{name}` in a path, as routers write it. */
export function routePattern(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
