import { z } from 'zod';
import { zodIssues } from '../../core/connection.ts';
import type { FieldIssue } from '../../core/errors.ts';

export const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'] as const;
export const METHODS = [...SAFE_METHODS, 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type Method = (typeof METHODS)[number];

export function isSafe(method: string): boolean {
  return (SAFE_METHODS as readonly string[]).includes(method);
}

const OPERATION_ID = 'The id of an operation as api_list_endpoints gives it: an operationId, or METHOD /path.';
const named = z.record(z.string(), z.unknown(), { error: 'must be an object of names and values' });

export const listArguments = z.strictObject({
  query: z.string().max(1_000).default('').describe('Words to look for in ids, paths, summaries and tags. Empty: all.'),
  limit: z.number().int().min(1).max(500).default(50).describe('How many operations a page has at most.'),
  cursor: z.string().max(4_096).optional().describe('next_cursor of the page before, with the same query.'),
});

export const describeArguments = z.strictObject({
  operation_id: z.string().min(1).max(2_000).describe(OPERATION_ID),
});

const requestShape = {
  operation_id: z.string().min(1).max(2_000).optional().describe(`${OPERATION_ID} Give this, or method and path.`),
  path: z
    .string()
    .min(1)
    .max(16_384)
    .optional()
    .describe('Without operation_id: the path below the API’s base URL, such as /v1/items/42. Percent-encode values.'),
  path_params: named.optional().describe('With operation_id: the values of its path parameters, by name.'),
  query_params: named.optional().describe('Query parameters by name. A list is sent as the parameter repeated.'),
  headers: named
    .optional()
    .describe(
      'Header parameters and further request headers by name. Credentials are added by the platform and refused here.',
    ),
  timeout_seconds: z
    .number()
    .positive()
    .max(3_600)
    .optional()
    .describe('How long to wait for the whole answer. The connection’s own limit is the longest.'),
};

export const readArguments = z.strictObject({
  method: z
    .enum(SAFE_METHODS, { error: 'must be GET, HEAD or OPTIONS; other methods are for api_invoke_endpoint' })
    .optional()
    .describe('Without operation_id. GET when left out.'),
  ...requestShape,
});

export const invokeArguments = z.strictObject({
  method: z.enum(METHODS).optional().describe('Without operation_id: the HTTP method.'),
  ...requestShape,
  body: z
    .unknown()
    .optional()
    .describe(
      'The request body: JSON as it is; a form as an object of its fields with its content_type; other media types as a text, or bytes as {"base64": "…"}.',
    ),
  content_type: z
    .string()
    .max(256)
    .regex(/^[\x20-\x7e]+$/, 'must be one line of ASCII, such as text/csv')
    .optional()
    .describe('Media type of the body, where it is not the described one or application/json.'),
  cookies: named.optional().describe('With operation_id: the values of its cookie parameters, if it has any.'),
});

export type InvokeArguments = z.infer<typeof invokeArguments>;

/** Models now and then write an object as its JSON text. */
const OBJECTS = ['path_params', 'query_params', 'headers', 'cookies'];

function objectOf(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

export type ReadArguments<T> = { ok: true; value: T } | { ok: false; issues: FieldIssue[] };

/** @param given as the caller wrote them; `connection`, by which the call came here, is left out */
export function readArgumentsOf<T>(schema: z.ZodType<T> & { shape: object }, given: unknown): ReadArguments<T> {
  const { connection: _, ...rest } =
    typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : {};
  for (const key of OBJECTS) if (key in rest) rest[key] = objectOf(rest[key]);
  if (typeof rest.method === 'string') rest.method = rest.method.trim().toUpperCase();
  // null is how some clients leave an argument out.
  const present = Object.fromEntries(Object.entries(rest).filter(([key, value]) => value !== null || key === 'body'));
  const parsed = schema.safeParse(present);
  if (parsed.success) return { ok: true, value: parsed.data };
  const known = Object.keys(schema.shape);
  const issues = zodIssues(parsed.error).map((issue) =>
    known.some((name) => issue.path === name || issue.path.startsWith(`${name}.`))
      ? issue
      : { ...issue, message: `${issue.message}; known are ${known.join(', ')}` },
  );
  return { ok: false, issues };
}
