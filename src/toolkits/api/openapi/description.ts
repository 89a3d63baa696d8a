import type { Clock } from '../../../core/ports.ts';

/** JSON Schema 2020-12, as shown to a model. */
export type JsonSchema = boolean | { [keyword: string]: unknown };

/** What is wrong with a description or with arguments, said so that its author can correct it. */
export type Issue = {
  /** Where: `query_params.state`, `body.items[3].name`, `paths./users`; empty for the whole. */
  at: string;
  /** A sentence: what is expected, what was found, the nearest thing that would be right. */
  message: string;
};

export type ParseOptions = {
  /** The connection's own: the only destination. Servers of the description count as far as they lie under it. */
  base_url: string;
  /** Parameters that the connection itself adds, such as an API key: neither offered nor asked for. */
  supplied?: { headers?: readonly string[]; query_params?: readonly string[] };
  /** Bytes of text; 33,554,432 for JSON, an eighth of it for YAML, whose reader is some thirty times slower. */
  max_bytes?: number;
};

export type ParsedDescription = { ok: true; description: Description } | { ok: false; issues: Issue[] };

export type ParameterPlace = 'path' | 'query' | 'header' | 'cookie';

/** One line of a list of operations; everything else of it is read when it is asked for. */
export type Operation = {
  /** `operationId`, else `METHOD path`; a duplicate has `#2`, `#3` … appended. */
  id: string;
  /** Upper case. */
  method: string;
  /** The template as described, without the servers' path: `/repos/{owner}/{repo}`. */
  path: string;
  /** At most 300 characters; the first line of the description where there is no summary. */
  summary: string;
  tags: readonly string[];
  deprecated: boolean;
};

/**
 * What a caller says of one call. Values of parameters may be written as JSON or as the text that goes over the wire
 * (`5` and `"5"` are the same there); the body is taken as it is.
 */
export type OperationArguments = {
  path_params?: Record<string, unknown>;
  query_params?: Record<string, unknown>;
  headers?: Record<string, unknown>;
  cookies?: Record<string, unknown>;
  /** JSON, or for other media types a text; bytes as `{ "base64": "…" }`; a form as an object of its fields. */
  body?: unknown;
  /** One of the described media types of the request; the first of JSON, form, text, anything where not given. */
  content_type?: string;
};

export type RequestParts = {
  method: string;
  /** Below the connection's `base_url`, begins with `/`, percent-encoded: the servers' own path and the filled template. */
  path: string;
  /** Already percent-encoded, to be joined by `&` and `=` as they are. */
  query: [name: string, value: string][];
  /** Described header parameters and `cookie`; never `content-type`. Lower case. */
  headers: Record<string, string>;
  body?: string | Uint8Array;
  /** Of the body, with a multipart boundary. */
  contentType?: string;
};

export type BuiltRequest = { ok: true; request: RequestParts } | { ok: false; issues: Issue[] };

export type SearchPage =
  | { ok: true; operations: Operation[]; total: number; next_cursor?: string }
  /** The cursor is not of this query and this description. */
  | { ok: false; issue: Issue };

export type DescribedParameter = {
  name: string;
  in: ParameterPlace;
  required: boolean;
  deprecated?: boolean;
  description?: string;
  schema: JsonSchema;
  /** How a list or an object is written on the wire, where it is not a plain value. */
  style?: string;
  explode?: boolean;
  examples?: unknown[];
};

export type DescribedBody = { content_type: string; schema: JsonSchema; examples?: unknown[] };

export type OperationDetails = Operation & {
  description?: string;
  parameters: DescribedParameter[];
  request_body?: { required: boolean; description?: string; content: DescribedBody[] };
  /** By status: `200`, `4XX`, `default`. */
  responses: Record<string, { description?: string; headers?: string[]; content?: DescribedBody[] }>;
  /** Sentences: what was left out so that this stays below its limit, and where a `$ref` was cut. */
  left_out: string[];
};

/**
 * An API as described by its vendor, read tolerantly: whatever is wrong with one operation is a warning and never
 * stands in the way of another (lesson 34). Holds the parsed document once and reads operations from it as needed.
 */
export interface Description {
  title: string;
  /** Of the API. */
  version: string;
  /** `OpenAPI 3.0.3`, `Swagger 2.0`. */
  format: string;
  /** What was found to be wrong and how it was understood, as sentences; at most 50 and a last one with the rest's number. */
  warnings: readonly string[];
  /** In the order of the description. */
  operations: readonly Operation[];
  /** By id, or `METHOD /template` for operations that have another id. */
  find(id: string): Operation | undefined;
  /** The operation that a concrete path below `base_url` belongs to; literal segments win over parameters. */
  match(method: string, path: string): Operation | undefined;
  /**
   * Every word of the query is looked for in ids, paths, summaries and tags; exact matches first, then by how many
   * words and where they were found. An empty query lists all. Pages are stable: the same query, the same order.
   */
  search(query: string, options: { limit: number; cursor?: string }): SearchPage;
  /** For a model: `$ref`s inlined, cycles cut, JSON of at most `max_bytes` (65,536). */
  describe(operation: Operation, options?: { max_bytes?: number }): OperationDetails;
  /** Of `OperationArguments` for this operation, bounded as `describe`. */
  inputSchema(operation: Operation): JsonSchema;
  /** Nothing when the arguments are as described; at most 20 issues. */
  validate(operation: Operation, given: OperationArguments): Issue[];
  /**
   * Validates, then writes the request. A value cannot leave its place: `/`, `?`, `#`, `..` are encoded or refused; but
   * that of `{+name}`, or with `allowReserved`, keeps its slashes.
   */
  build(operation: Operation, given: OperationArguments): BuiltRequest;
}

/** Takes as long as the text is, and nobody else is served meanwhile. */
export type ParseDescription = (text: string, options: ParseOptions) => ParsedDescription;

/** The same without holding anybody up for long, however large the text is. */
export type ReadDescription = (text: string, options: ParseOptions, clock: Clock) => Promise<ParsedDescription>;
