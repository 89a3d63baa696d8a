import type { ConfigSchema, ConnectionConfig, ConnectionKey } from '../../core/connection.ts';
import { mcpConfigSchema } from '../../core/connection.ts';
import type { Toolkit } from '../../core/ports.ts';
import { McpConnection } from './connection.ts';
import { Dialler } from './dialler.ts';
import { Program } from './stdio.ts';

export type McpToolkitOptions = {
  version?: string;
  /**
   * Whether this process's own configuration file declares the connection just so. Only then its `command` is run:
   * what a database says never starts a program.
   */
  declares?(key: ConnectionKey, config: ConnectionConfig): boolean;
};

/** Connections of kind `mcp`: another MCP server of either protocol era, over HTTP or as a program of this server. */
export function createMcpToolkit({ version = '0.0.0', declares }: McpToolkitOptions = {}): Toolkit {
  return {
    kind: 'mcp',
    configSchema: mcpConfigSchema as ConfigSchema,
    connect(context) {
      const { command, args, env, cwd } = context.config;
      if (command === undefined) return new McpConnection(context, new Dialler(context, version, undefined));
      if (!declares?.(context.key, context.config))
        return new McpConnection(context, new Dialler(context, version, 'refused'));
      const program = new Program(context, { command, args: args ?? [], env: env ?? {}, cwd });
      return new McpConnection(context, new Dialler(context, version, program));
    },
  };
}

export const mcpToolkit: Toolkit = createMcpToolkit();
