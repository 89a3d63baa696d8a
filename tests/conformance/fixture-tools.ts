import { type FixtureTool, text } from './fixture-call.ts';
import { ASKING, INPUT_REQUIRED } from './fixture-questions.ts';

/** One red pixel. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
/** A RIFF header, and no sample behind it. */
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';
const PAUSE_MS = 50;
const pause = () => new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS));

const SCHEMA_2020_12 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // Not written as a property: an object with a method of that name would be taken for a promise.
  ...Object.fromEntries([['then', { required: ['phone'] }]]),
  else: { required: ['email'] },
  additionalProperties: false,
};

const embedded = (uri: string, mimeType: string, content: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: content },
});
const CONTENT: Record<string, FixtureTool> = {
  test_simple_text: {
    description: 'Answers with a sentence',
    call: () => text('This is a simple text response for testing.'),
  },
  test_image_content: {
    description: 'Answers with an image',
    call: () => ({ content: [{ type: 'image', data: PNG, mimeType: 'image/png' }] }),
  },
  test_audio_content: {
    description: 'Answers with a sound',
    call: () => ({ content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }] }),
  },
  test_embedded_resource: {
    description: 'Answers with a resource',
    call: () => ({
      content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
    }),
  },
  test_multiple_content_types: {
    description: 'Answers with a sentence, an image and a resource',
    call: () => ({
      content: [
        { type: 'text', text: 'Multiple content types test:' },
        { type: 'image', data: PNG, mimeType: 'image/png' },
        embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
      ],
    }),
  },
  test_error_handling: {
    description: 'Always fails',
    call: () => ({ ...text('This tool intentionally returns an error for testing'), isError: true }),
  },
  json_schema_2020_12_tool: {
    description: 'Tool with JSON Schema 2020-12 features',
    inputSchema: SCHEMA_2020_12,
    call: ({ args }) => text(`JSON Schema 2020-12: ${JSON.stringify(args)}`),
  },
  test_custom_header: {
    description: 'Mirrors an argument in a header of the request',
    inputSchema: {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
      required: ['region'],
    },
    call: ({ args }) => text(`region=${String(args.region)}`),
  },
};

const MEANWHILE: Record<string, FixtureTool> = {
  test_tool_with_progress: {
    description: 'Tells how far it is',
    async call({ ctx }) {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await pause();
        if (progressToken === undefined) continue;
        const params = { progressToken, progress, total: 100, message: `${progress} of 100` };
        await ctx.mcpReq.notify({ method: 'notifications/progress', params });
      }
      return text('Progress is complete.');
    },
  },
  test_tool_with_logging: {
    description: 'Logs while it works',
    async call({ ctx }) {
      for (const line of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        if (line !== 'Tool execution started') await pause();
        await ctx.mcpReq.log('info', line);
      }
      return text('Logging is complete.');
    },
  },
  test_logging_tool: {
    description: 'Logs one line, where the request wants any',
    async call({ ctx }) {
      await ctx.mcpReq.log('info', 'a line of the log');
      return text('One line was logged.');
    },
  },
  test_reconnection: {
    description: 'Closes the stream of its answer, so that the client comes back for it',
    async call({ ctx }) {
      ctx.http?.closeSSE?.();
      await pause();
      return text('The client came back.');
    },
  },
  test_trigger_tool_change: {
    description: 'Says that the list of tools has changed',
    call({ changed }) {
      changed('tools');
      return text('The tools changed.');
    },
  },
  test_trigger_prompt_change: {
    description: 'Says that the list of prompts has changed',
    call({ changed }) {
      changed('prompts');
      return text('The prompts changed.');
    },
  },
};

/** The tools that the suite calls by name; what each must do is in the descriptions of its scenarios. */
export const FIXTURE_TOOLS: Record<string, FixtureTool> = { ...CONTENT, ...MEANWHILE, ...ASKING, ...INPUT_REQUIRED };
