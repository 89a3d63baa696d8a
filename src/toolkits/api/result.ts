import type { Scrubber } from '../credential-scrub.ts';
import { isSafe } from './arguments.ts';
import { shownHeaders } from './header-rules.ts';
import type { Issue, Operation } from './openapi/description.ts';
import { NO_PAGES, type Pagination, paginationOf } from './pagination.ts';
import { EMBEDDED_BYTES, type ReadBody } from './response-body.ts';
import { belowBase } from './target.ts';

/** What `api_invoke_endpoint` answers, whatever came of it. */
export type InvokeResult = {
  /** null: nothing was sent. */
  status: number | null;
  headers: Record<string, string>;
  body: unknown;
  body_truncated: boolean;
  pagination: Pagination;
  hint: string | null;
  duration_ms: number;
  error: string | null;
};

export type ToolResult = Record<string, unknown>;

/** @param scrubber takes out of the whole result what must not come back */
export function toolResult(
  structured: object,
  options: { isError?: boolean; attached?: object[]; scrubber?: Scrubber } = {},
): ToolResult {
  const { scrubber } = options;
  const written = JSON.stringify(structured);
  // Looked for in the text, which is fast, and taken out of the values, which stay what they are.
  const isClean = scrubber === undefined || scrubber.text(written) === written;
  const shown = isClean ? structured : (scrubber.value(structured) as object);
  return {
    content: [{ type: 'text', text: isClean ? written : JSON.stringify(shown) }, ...(options.attached ?? [])],
    structuredContent: shown,
    ...(options.isError ? { isError: true } : {}),
  };
}

/** Arguments that were not sent: nothing happened, and what to write instead. */
export function refusedCall(issues: readonly Issue[], advice: string | null): ToolResult {
  // Some are sentences by themselves; here each is a part of one.
  const named = issues.map(({ at, message }) => `${at} ${message}`.trim().replace(/\.$/, '')).join('; ');
  const result: InvokeResult = {
    status: null,
    headers: {},
    body: null,
    body_truncated: false,
    pagination: NO_PAGES,
    hint: advice,
    duration_ms: 0,
    error: `Nothing was sent. Correct these arguments: ${named}.`,
  };
  return toolResult(result, { isError: true });
}

/** @param parameter the query parameter that carries the credential: an upstream's own links repeat it */
function withoutParameter(text: string, parameter: string | undefined): string {
  if (parameter === undefined) return text;
  const named = `${encodeURIComponent(parameter)}=`;
  let lost = false;
  const pieces = text.split(/(?=[?&])/).map((piece, index) => {
    if (index > 0 && piece.slice(1).startsWith(named)) {
      const end = piece.search(/[#>"\s]/);
      lost = lost || piece.startsWith('?');
      return end < 0 ? '' : piece.slice(end);
    }
    const kept = lost && piece.startsWith('&') ? `?${piece.slice(1)}` : piece;
    if (piece !== '') lost = false;
    return kept;
  });
  return pieces.join('');
}

export type Answer = {
  response: { status: number; headers: Headers };
  body: ReadBody;
  request: { method: string; url: URL; operation: Operation | undefined };
  base_url: string;
  duration_ms: number;
  limit_seconds: number;
  gateway_path: string;
  /** Whether the operation was chosen by path: then its description may tell what was wrong. */
  raw: boolean;
  scrubber: Scrubber;
  parameter: string | undefined;
};

function statusHint({ response, request, base_url, raw, parameter }: Answer): string[] {
  const { status, headers } = response;
  const location = headers.get('location');
  if (status >= 300 && status < 400 && location !== null) {
    const path = URL.canParse(location, request.url.href)
      ? belowBase(base_url, new URL(location, request.url))
      : undefined;
    const next =
      path === undefined
        ? 'It leads away from this API.'
        : `To follow it, call with path ${withoutParameter(path, parameter)}.`;
    return [`The API redirects, and redirects are not followed. ${next}`];
  }
  const wait = headers.get('retry-after');
  const after = wait === null ? 'after a while' : /^\d+$/.test(wait) ? `after ${wait} seconds` : `after ${wait}`;
  if (status === 429) return [`The API limits how often it may be called: try again ${after}.`];
  if (status === 503 && wait !== null) return [`The API is not available right now: try again ${after}.`];
  if (status === 404 && !raw && /%2f/i.test(request.url.pathname)) {
    return [
      'A slash in path_params was sent as %2F, as the description has it. If the API wants it as a slash, call by method and path instead of operation_id.',
    ];
  }
  if (status === 403) return ['The API refuses this to the account or scope of the connection.'];
  const { operation } = request;
  if (raw && operation && (status === 400 || status === 404 || status === 422)) {
    return [`api_get_endpoint_schema tells what ${operation.id} expects.`];
  }
  return [];
}

function bodyHint({ body, limit_seconds, gateway_path }: Answer): string[] {
  if (body.type === 'embedded') return [`The body is ${body.media_type}: it is attached as an embedded resource.`];
  if (body.type === 'refused') {
    const what = `${body.media_type || 'binary'} and larger than ${EMBEDDED_BYTES / 1024} KiB, or of unknown length`;
    return [
      `The body is ${what}, so it was not read. A program can fetch it through ${gateway_path}/… of this server.`,
    ];
  }
  if (body.type === 'json' && body.long) {
    return ['Whole numbers beyond 2^53 are shown as texts, so that no digit is lost; send them as texts, too.'];
  }
  if (body.type !== 'text' || body.cut === null) return [];
  if (body.cut === 'limit') {
    return ['The body was cut at the limit of the connection. Ask for less: a page, a filter, fewer fields.'];
  }
  if (body.cut === 'time') {
    return [`The answer did not end within ${limit_seconds} s; the body is what had come until then.`];
  }
  return ['The connection broke before the answer ended; the body is what had come until then.'];
}

function pageHint(pagination: Pagination, base_url: string): string[] {
  if (pagination.next_url !== null) {
    const path = belowBase(base_url, new URL(pagination.next_url));
    if (path === undefined) return ['There is a next page, but at an address outside of this API.'];
    return [`There is a next page: call again with path ${path} instead of operation_id.`];
  }
  if (pagination.next_cursor === null) return [];
  return [`There is a next page: call again with next_cursor in the query parameter that this API has for it.`];
}

function shownBody(body: ReadBody): unknown {
  if (body.type === 'json') return body.value;
  return body.type === 'text' ? body.text : null;
}

function attachment({ body, request, scrubber }: Answer): object[] {
  if (body.type !== 'embedded') return [];
  const uri = `${request.url.origin}${request.url.pathname}`;
  return [{ type: 'resource', resource: { uri, mimeType: body.media_type, blob: scrubber.base64(body.blob) } }];
}

/** An upstream's answer as the result of the tool: its own error status is an answer like any other. */
export function answerResult(answer: Answer): ToolResult {
  const { response, body, request, base_url, parameter } = answer;
  const { status } = response;
  const headers = Object.fromEntries(
    Object.entries(shownHeaders(response.headers)).map(([name, value]) => [name, withoutParameter(value, parameter)]),
  );
  const found = paginationOf(response.headers, body.type === 'json' ? body.value : null, request.url);
  const next_url = found.next_url === null ? null : withoutParameter(found.next_url, parameter);
  const pagination = { ...found, next_url };
  const hints = [...statusHint(answer), ...bodyHint(answer), ...pageHint(pagination, base_url)];
  const result: InvokeResult = {
    status,
    headers,
    body: shownBody(body),
    body_truncated: body.type === 'refused' || (body.type === 'text' && body.cut !== null),
    pagination,
    hint: hints.length > 0 ? hints.join(' ') : null,
    duration_ms: Math.round(answer.duration_ms),
    error: status >= 400 ? `The API answered ${request.method} with HTTP ${status}.` : null,
  };
  return toolResult(result, { attached: attachment(answer), scrubber: answer.scrubber });
}

/** The hints of MCP for one operation: they follow its method. */
export function methodHints(method: string): Record<string, boolean> {
  const readOnlyHint = isSafe(method);
  return {
    readOnlyHint,
    destructiveHint: !readOnlyHint,
    idempotentHint: readOnlyHint || method === 'PUT' || method === 'DELETE',
  };
}
