import { z } from 'zod';
import type { Endpoint } from '../contract/endpoints.ts';
import { zodIssues } from '../core/connection.ts';
import { AppError, type FieldIssue } from '../core/errors.ts';

export const ADMIN_BODY_LIMIT = 1_048_576;

/** Operations without a body of their own take none, or an empty object. */
const NO_FIELDS = z.strictObject({});

function refuse(issues: FieldIssue[]): AppError {
  const named = issues.map(({ path, message }) => `${path} ${message}`).join('; ');
  return new AppError('invalid_request', `The request was refused: ${named}.`, { issues });
}

function tooLarge(limit: number): AppError {
  const message = `is larger than ${limit} bytes`;
  return new AppError('payload_too_large', `The request was refused: the body ${message}.`, {
    issues: [{ path: '(body)', message }],
  });
}

/** Reads a body up to a limit, whatever its Content-Length says. @throws AppError payload_too_large, invalid_request */
export async function readText(request: Request, limit: number): Promise<string> {
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge(limit);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let size = 0;
  let text = '';
  const chunks: AsyncIterable<Uint8Array> | null = request.body;
  for await (const chunk of chunks ?? []) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(limit);
    text += decode(decoder, chunk);
  }
  return text + decode(decoder);
}

function decode(decoder: InstanceType<typeof TextDecoder>, chunk?: Uint8Array): string {
  try {
    return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
  } catch {
    throw refuse([{ path: '(body)', message: 'must be UTF-8' }]);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Only the place: the rest of the engine's message quotes the body, which may hold a secret.
    const place = /position \d+/.exec(error instanceof Error ? error.message : '')?.[0];
    throw refuse([{ path: '(body)', message: `is not valid JSON${place ? ` (at ${place})` : ''}` }]);
  }
}

async function readBody(request: Request, limit: number): Promise<unknown> {
  const text = await readText(request, limit);
  if (text === '') return {};
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') throw refuse([{ path: 'Content-Type', message: 'must be application/json' }]);
  return parseJson(text);
}

function readQuery(url: URL): Record<string, unknown> {
  const names = new Set(url.searchParams.keys());
  return Object.fromEntries(
    [...names].map((name) => {
      const values = url.searchParams.getAll(name);
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}

function check(schema: z.ZodType, value: unknown): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refuse(zodIssues(parsed.error));
}

export type RequestInput = { params: unknown; query: unknown; body: unknown };

/**
 * Everything that a request says, checked against its row of the table. Unknown fields are refused by name.
 * @throws AppError invalid_request, payload_too_large
 */
export async function readInput(
  endpoint: Endpoint,
  request: Request,
  params: Record<string, string>,
): Promise<RequestInput> {
  const hasBody = endpoint.method !== 'GET';
  return {
    params: check(endpoint.params ?? NO_FIELDS, params),
    query: check(endpoint.query ?? NO_FIELDS, readQuery(new URL(request.url))),
    body: hasBody
      ? check(endpoint.body ?? NO_FIELDS, await readBody(request, endpoint.body_limit ?? ADMIN_BODY_LIMIT))
      : undefined,
  };
}
