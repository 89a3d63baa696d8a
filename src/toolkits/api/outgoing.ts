import type { ConnectionConfig } from '../../core/connection.ts';
import { credentialParameter } from '../credential-headers.ts';
import { type InvokeArguments, isSafe, METHODS } from './arguments.ts';
import { inexactAt, LOSES_DIGITS } from './exact-numbers.ts';
import { headerFaults } from './header-rules.ts';
import { mediaType } from './media-type.ts';
import type { Description, Issue, Operation, RequestParts } from './openapi/description.ts';
import { bytesOf } from './openapi/form-body.ts';
import { requestTarget } from './target.ts';

export type Outgoing = {
  method: string;
  url: URL;
  headers: Headers;
  body?: string | Uint8Array;
  /** The described operation that it is, or seems to be. */
  operation: Operation | undefined;
};

export type Written = { ok: true; request: Outgoing } | { ok: false; issues: Issue[] };

const refuse = (at: string, message: string): Written => ({ ok: false, issues: [{ at, message }] });

function pairsOf(params: Record<string, unknown>): [string, string][] {
  return Object.entries(params).flatMap(([name, value]): [string, string][] => {
    if (value === undefined || value === null) return [];
    const values: unknown[] = Array.isArray(value) ? value : [value];
    return values.map((each) => [name, typeof each === 'object' ? JSON.stringify(each) : String(each)]);
  });
}

function encoded(pairs: readonly [string, string][]): string {
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
}

type WrittenBody = { ok: true; body?: string | Uint8Array; type?: string } | { ok: false; message: string };

function parsesAsJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A body as a caller without a description writes it. */
function rawBody(body: unknown, given: string | undefined): WrittenBody {
  if (body === undefined) return { ok: true };
  const type = mediaType(given ?? null);
  const json = type === '' || type === 'application/json' || type.endsWith('+json');
  if (typeof body === 'string') {
    // Models often hand over JSON as its text; encoding it once more would make a string of it.
    const guess = type === '' ? (parsesAsJson(body) ? 'application/json' : 'text/plain; charset=utf-8') : given;
    return { ok: true, body, ...(guess ? { type: guess } : {}) };
  }
  const alone = typeof body === 'object' && body !== null && Object.keys(body).length === 1;
  const bytes = json || !alone ? undefined : bytesOf(body);
  if (bytes) return { ok: true, body: bytes, ...(given ? { type: given } : {}) };
  if (json) return { ok: true, body: JSON.stringify(body), type: given ?? 'application/json' };
  if (type === 'application/x-www-form-urlencoded' && typeof body === 'object' && body !== null) {
    const form = new URLSearchParams(pairsOf(body as Record<string, unknown>));
    return { ok: true, body: form.toString(), type: given ?? type };
  }
  return {
    ok: false,
    message: `must be a text, or bytes as {"base64": "…"}, for the media type ${type}`,
  };
}

function fromParts(parts: RequestParts): { query: string; headers: Headers; body?: string | Uint8Array } {
  const headers = new Headers(parts.headers);
  if (parts.contentType) headers.set('content-type', parts.contentType);
  const query = parts.query.map(([name, value]) => `${name}=${value}`).join('&');
  return { query, headers, ...(parts.body === undefined ? {} : { body: parts.body }) };
}

function unknownOperation(id: string, description: Description | null): Written {
  if (!description) {
    return refuse('operation_id', 'cannot be used: this API has no description here; give method and path instead');
  }
  const found = description.search(id, { limit: 3 });
  const near = found.ok ? found.operations.map((operation) => operation.id) : [];
  const advice = near.length > 0 ? `; near to it are ${near.join(', ')}` : '';
  return refuse('operation_id', `is not an operation of this API${advice}. Look for it with api_list_endpoints`);
}

function described(
  args: InvokeArguments,
  description: Description | null,
): Written | { parts: RequestParts; operation: Operation } {
  const id = args.operation_id ?? '';
  const operation = description?.find(id);
  if (!description || !operation) return unknownOperation(id, description);
  if (args.path !== undefined || (args.method !== undefined && args.method !== operation.method)) {
    return refuse('path', 'and method belong to calls without operation_id; leave them out, or leave operation_id out');
  }
  const { path_params, query_params, headers, cookies, body, content_type } = args;
  const built = description.build(operation, {
    ...(path_params ? { path_params } : {}),
    ...(query_params ? { query_params } : {}),
    ...(headers ? { headers } : {}),
    ...(cookies ? { cookies } : {}),
    ...(body === undefined ? {} : { body }),
    ...(content_type ? { content_type } : {}),
  });
  return built.ok ? { parts: built.request, operation } : built;
}

/** Headers of the caller that the description does not know, and the body's type, on top of what is written so far. */
function addHeaders(headers: Headers, given: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== 'object' && !headers.has(name)) headers.set(name, String(value));
  }
}

function written(config: ConnectionConfig, request: Omit<Outgoing, 'url'>, path: string, query: string): Written {
  if (!(METHODS as readonly string[]).includes(request.method)) {
    return refuse('operation_id', `is a ${request.method} operation, which is not sent from here`);
  }
  const target = requestTarget(String(config.base_url), path, query);
  if (!target.ok) return { ok: false, issues: [{ at: target.at, message: target.message }] };
  const parameter = credentialParameter(config);
  if (parameter !== undefined && target.url.searchParams.has(parameter)) {
    return refuse(`query_params.${parameter}`, 'is set by the platform for this connection; leave it out');
  }
  const { body, headers } = request;
  if (body !== undefined && isSafe(request.method)) {
    return refuse('body', `must be left out: ${request.method} carries none`);
  }
  if (!headers.has('accept')) headers.set('accept', 'application/json, */*;q=0.5');
  return { ok: true, request: { ...request, url: target.url } };
}

/**
 * One request, as the caller's arguments want it: by a described operation, against whose description they are
 * checked, or by method and path. Nothing of it can leave the base URL or touch the connection's credential.
 */
export function writeRequest(
  config: ConnectionConfig,
  description: Description | null,
  args: InvokeArguments,
): Written {
  const given = args.headers ?? {};
  const faults = headerFaults(config, given, args.operation_id !== undefined);
  if (faults.length > 0) return { ok: false, issues: faults };
  if (args.operation_id !== undefined) {
    const found = described(args, description);
    if (!('parts' in found)) return found;
    const { query, headers, body } = fromParts(found.parts);
    addHeaders(headers, given);
    const { method, path } = found.parts;
    const request = { method, headers, operation: found.operation, ...(body === undefined ? {} : { body }) };
    return written(config, request, path, query);
  }
  if (args.path === undefined) return refuse('path', 'is needed, with method, where no operation_id is given');
  if (args.path_params || args.cookies) {
    return refuse(args.path_params ? 'path_params' : 'cookies', 'belongs to calls with operation_id; leave it out');
  }
  const lossy = { query_params: inexactAt(args.query_params), body: inexactAt(args.body) };
  if (lossy.query_params !== undefined) {
    return refuse(`query_params${lossy.query_params}`, `${LOSES_DIGITS}: write it as a text`);
  }
  if (lossy.body !== undefined) {
    return refuse(`body${lossy.body}`, `${LOSES_DIGITS}: write the whole body as its JSON text`);
  }
  const method = args.method ?? 'GET';
  const headers = new Headers();
  addHeaders(headers, given);
  const body = rawBody(args.body, args.content_type ?? headers.get('content-type') ?? undefined);
  if (!body.ok) return refuse('body', body.message);
  if (body.type) headers.set('content-type', body.type);
  const operation = description?.match(method, args.path.split('?', 1)[0] ?? '');
  const request = { method, headers, operation, ...(body.body === undefined ? {} : { body: body.body }) };
  return written(config, request, args.path, encoded(pairsOf(args.query_params ?? {})));
}
