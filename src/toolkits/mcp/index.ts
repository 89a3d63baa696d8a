import type { ConfigSchema } from '../../core/connection.ts';
import { mcpConfigSchema } from '../../core/connection.ts';
import type { Toolkit } from '../../core/ports.ts';
import { McpConnection } from './connection.ts';

/** Connections of kind `mcp`: another MCP server, over Streamable HTTP, of either protocol era. */
export function createMcpToolkit(options: { version?: string } = {}): Toolkit {
  return {
    kind: 'mcp',
    configSchema: mcpConfigSchema as ConfigSchema,
    connect: (context) => new McpConnection(context, options.version ?? '0.0.0'),
  };
}

export const mcpToolkit: Toolkit = createMcpToolkit();
