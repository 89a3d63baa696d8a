import { z } from 'zod';
import type { UpstreamTool } from '../../core/ports.ts';
import { describeArguments, invokeArguments, listArguments, readArguments } from './arguments.ts';

/** JSON Schema of what a caller may write, without what only a validator needs. */
function inputSchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}

const nullable = (type: string) => ({ type: [type, 'null'] });

const PAGINATION = {
  type: 'object',
  properties: {
    has_more: { type: 'boolean' },
    next_cursor: nullable('string'),
    next_url: nullable('string'),
    source: { ...nullable('string'), description: 'link_header, or the field of the body that it was read from.' },
  },
  required: ['has_more', 'next_cursor', 'next_url', 'source'],
};

const RESULT_SCHEMA = {
  type: 'object',
  properties: {
    status: { ...nullable('integer'), description: 'HTTP status of the API’s answer; null: nothing was sent.' },
    headers: { type: 'object', additionalProperties: { type: 'string' } },
    body: { description: 'JSON parsed, other text as it is, null where there is none or it is attached.' },
    body_truncated: { type: 'boolean' },
    pagination: PAGINATION,
    hint: { ...nullable('string'), description: 'What to do next.' },
    duration_ms: { type: 'integer' },
    error: nullable('string'),
  },
  required: ['status', 'headers', 'body', 'body_truncated', 'pagination', 'hint', 'duration_ms', 'error'],
};

const HINTS = {
  type: 'object',
  properties: {
    readOnlyHint: { type: 'boolean' },
    destructiveHint: { type: 'boolean' },
    idempotentHint: { type: 'boolean' },
  },
};

const OPERATION = {
  type: 'object',
  properties: {
    operation_id: { type: 'string' },
    method: { type: 'string' },
    path: { type: 'string' },
    summary: { type: 'string' },
    tags: { type: 'array', items: { type: 'string' } },
    deprecated: { type: 'boolean' },
    annotations: HINTS,
  },
  required: ['operation_id', 'method', 'path'],
};

const LIST_SCHEMA = {
  type: 'object',
  properties: {
    api: {
      type: ['object', 'null'],
      description: 'null: the API has no description here; call it by method and path.',
      properties: { title: { type: 'string' }, version: { type: 'string' }, format: { type: 'string' } },
    },
    operations: { type: 'array', items: OPERATION },
    total: { type: 'integer', description: 'How many operations match.' },
    next_cursor: nullable('string'),
    hint: nullable('string'),
    error: nullable('string'),
  },
  required: ['api', 'operations', 'total', 'next_cursor', 'hint', 'error'],
};

const DESCRIBE_SCHEMA = {
  type: 'object',
  properties: {
    operation: { type: ['object', 'null'], description: 'Parameters, request body and responses.' },
    hint: nullable('string'),
    error: nullable('string'),
  },
  required: ['operation', 'hint', 'error'],
};

const READ_ONLY = { readOnlyHint: true, destructiveHint: false, idempotentHint: true };

export const TOOL = {
  list: 'api_list_endpoints',
  describe: 'api_get_endpoint_schema',
  read: 'api_read_endpoint',
  invoke: 'api_invoke_endpoint',
} as const;

/**
 * The tools of every connection of this kind: the same few, whatever the size of the API. Reading is a tool of its
 * own, so that the hints of both are true, and so that a rule can permit the one without the other.
 */
export const API_TOOLS: readonly UpstreamTool[] = [
  {
    name: TOOL.list,
    title: 'Find operations of an API',
    description:
      'Lists the operations of an HTTP API, best matches of the query first. Look here for the operation_id that the other tools take. An API without a description lists none, and is called by method and path.',
    inputSchema: inputSchema(listArguments),
    outputSchema: LIST_SCHEMA,
    annotations: { title: 'Find operations of an API', ...READ_ONLY, openWorldHint: false },
  },
  {
    name: TOOL.describe,
    title: 'Describe an operation of an API',
    description:
      'Describes one operation of an HTTP API: its parameters, request body and responses as JSON Schema, with examples. Read this before calling an operation for the first time.',
    inputSchema: inputSchema(describeArguments),
    outputSchema: DESCRIBE_SCHEMA,
    annotations: { title: 'Describe an operation of an API', ...READ_ONLY, openWorldHint: false },
  },
  {
    name: TOOL.read,
    title: 'Read from an API',
    description:
      'Sends a request that changes nothing (GET, HEAD, OPTIONS) to an HTTP API, with the credential of the connection: by operation_id with its path_params and query_params, or by path. The API’s own error status is a result; read hint and error.',
    inputSchema: inputSchema(readArguments),
    outputSchema: RESULT_SCHEMA,
    annotations: { title: 'Read from an API', ...READ_ONLY, openWorldHint: true },
  },
  {
    name: TOOL.invoke,
    title: 'Call an API',
    description:
      'Sends any request to an HTTP API, with the credential of the connection: by operation_id with path_params, query_params and body, checked against the description before anything is sent, or by method and path. It may create, change or delete; for GET use api_read_endpoint. The API’s own error status is a result; read hint and error.',
    inputSchema: inputSchema(invokeArguments),
    outputSchema: RESULT_SCHEMA,
    annotations: {
      title: 'Call an API',
      readOnlyHint: false,
      destructiveHint: true,
      idempotentHint: false,
      openWorldHint: true,
    },
  },
];
