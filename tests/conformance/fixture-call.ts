import type {
  CallToolResult,
  InputRequiredResult,
  RequestStateCodec,
  ServerContext,
} from '@modelcontextprotocol/server';

export type Era = 'legacy' | 'modern';
export type FixtureCall = {
  era: Era;
  args: Record<string, unknown>;
  ctx: ServerContext;
  state: RequestStateCodec<{ round: number }>;
  changed(list: 'tools' | 'prompts'): void;
};
export type FixtureTool = {
  description: string;
  inputSchema?: Record<string, unknown>;
  call(call: FixtureCall): CallToolResult | InputRequiredResult | Promise<CallToolResult | InputRequiredResult>;
};

export const text = (value: string): CallToolResult => ({ content: [{ type: 'text', text: value }] });
