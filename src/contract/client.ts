import type { z } from 'zod';
import { zodIssues } from '../core/connection.ts';
import { ENDPOINTS, type Endpoint, type EndpointId, type Endpoints } from './endpoints.ts';
import { type ErrorCode, type FieldIssue, problemSchema } from './schemas.ts';

/** `network`: no answer at all. `unreadable`: an answer that is not of this API, a proxy's page for instance. */
export type ApiProblemCode = ErrorCode | 'network' | 'unreadable';

/** Any failure of a call. `message` is for the person. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  /** 0 when there was no answer. */
  readonly status: number;
  readonly code: ApiProblemCode;
  readonly issues: readonly FieldIssue[];
  /** Seconds, from Retry-After. */
  readonly retry_after: number | undefined;

  constructor(
    status: number,
    code: ApiProblemCode,
    message: string,
    options: { issues?: readonly FieldIssue[]; retry_after?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.code = code;
    this.issues = options.issues ?? [];
    this.retry_after = options.retry_after;
  }
}

type JsonOf<R> = R extends { content: 'json'; schema: infer S extends z.ZodType } ? z.output<S> : never;
type BodyOf<E extends Endpoint> = { [S in keyof E['responses']]: JsonOf<E['responses'][S]> }[keyof E['responses']];
type Part<K extends string, S> = S extends z.ZodType
  ? Record<string, never> extends z.input<S>
    ? { [P in K]?: z.input<S> }
    : { [P in K]: z.input<S> }
  : unknown;
type PartOf<E, K extends string> = E extends { [P in K]: infer S } ? Part<K, S> : unknown;

/** Operations that answer a browser with a page have no place in a client. */
type PageId = 'finishConsent';
export type ClientOperation = Exclude<EndpointId, PageId>;

export type ClientInput<Id extends ClientOperation> = PartOf<Endpoints[Id], 'params'> &
  PartOf<Endpoints[Id], 'query'> &
  PartOf<Endpoints[Id], 'body'> & { signal?: AbortSignal };
export type ClientOutput<Id extends ClientOperation> = [BodyOf<Endpoints[Id]>] extends [never]
  ? undefined
  : BodyOf<Endpoints[Id]>;

type Operation<Id extends ClientOperation> =
  Record<string, never> extends ClientInput<Id>
    ? (input?: ClientInput<Id>) => Promise<ClientOutput<Id>>
    : (input: ClientInput<Id>) => Promise<ClientOutput<Id>>;

export type Client = { [Id in ClientOperation]: Operation<Id> };

export type ClientOptions = {
  /** The origin, or '' for the page's own. */
  baseUrl: string;
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  headers?: Record<string, string>;
};

type CallInput = {
  params?: Record<string, string>;
  query?: Record<string, unknown>;
  body?: unknown;
  signal?: AbortSignal;
};

/**
 * A client for the whole admin API, one method per row of the table.
 * @throws ApiProblem for every failure; an abort by the caller's own signal is rethrown as it is.
 */
export function createClient(options: ClientOptions): Client {
  const operations = Object.entries(ENDPOINTS).map(([id, endpoint]) => [
    id,
    (input: CallInput = {}) => call(options, endpoint, input),
  ]);
  return Object.fromEntries(operations) as Client;
}

/** The address of an operation, its parameters checked and encoded. */
export function endpointUrl(endpoint: Endpoint, input: Pick<CallInput, 'params' | 'query'>): string {
  const params = endpoint.params?.safeParse(input.params ?? {});
  if (params && !params.success) throw refusedHere(zodIssues(params.error));
  const path = endpoint.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(input.params?.[name])),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(input.query ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) if (item !== undefined) query.append(name, String(item));
  }
  return query.size > 0 ? `${path}?${query}` : path;
}

function refusedHere(issues: FieldIssue[]): ApiProblem {
  const named = issues.map((issue) => `${issue.path} ${issue.message}`).join('; ');
  return new ApiProblem(400, 'invalid_request', `The request was not sent: ${named}.`, { issues });
}

async function call(options: ClientOptions, endpoint: Endpoint, input: CallInput): Promise<unknown> {
  const url = options.baseUrl.replace(/\/$/, '') + endpointUrl(endpoint, input);
  const init: RequestInit = {
    method: endpoint.method,
    headers: { accept: 'application/json', ...options.headers },
    credentials: 'same-origin',
  };
  if (input.signal) init.signal = input.signal;
  if (endpoint.body) {
    init.headers = { ...init.headers, 'content-type': 'application/json' };
    init.body = JSON.stringify(input.body ?? {});
  }
  let response: Response;
  let text: string;
  try {
    response = await options.fetch(url, init);
    text = await response.text();
  } catch (cause) {
    if (input.signal?.aborted) throw cause;
    throw new ApiProblem(0, 'network', 'The server did not answer. Check that it runs, then try again.', { cause });
  }
  return readAnswer(endpoint, response, text);
}

function readAnswer(endpoint: Endpoint, response: Response, text: string): unknown {
  const expected = endpoint.responses[response.status];
  if (response.ok && expected?.content === 'none') return undefined;
  const body = parseJson(text);
  if (response.ok && expected?.content === 'json' && body !== undefined) return body;
  const problem = problemSchema.safeParse(body);
  if (problem.success) {
    const { status, code, detail, issues } = problem.data;
    throw new ApiProblem(status, code, detail, { issues, retry_after: retryAfter(response) });
  }
  throw new ApiProblem(
    response.status,
    'unreadable',
    `The answer (HTTP ${response.status}) is not from this server's API. A proxy in between may have given it.`,
    { retry_after: retryAfter(response) },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('retry-after');
  return value !== null && /^\d+$/.test(value) ? Number(value) : undefined;
}
