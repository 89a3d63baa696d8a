import type { ConnectionConfig, ConnectionKey } from '../core/connection.ts';
import type { Toolkit } from '../core/ports.ts';
import { createApiToolkit } from './api/index.ts';
import { createMcpToolkit } from './mcp/index.ts';

type Declared = ConnectionKey & { config: Record<string, unknown> };

/** What starts a program: it must stand in the configuration file of this process just so. */
function program({ command, args, env, cwd }: Record<string, unknown>): string {
  return JSON.stringify([command, args, Object.entries(env ?? {}).sort(), cwd]);
}

export type BuiltInOptions = {
  version?: string;
  /** The connections of this process's configuration file. */
  declared?: readonly Declared[];
  /** See `ApiToolkitOptions.memory_bytes`. */
  api_memory_bytes?: number;
};

/** The kinds of connection that are built in. */
export function builtInToolkits(options: BuiltInOptions = {}): Toolkit[] {
  const declares = (key: ConnectionKey, config: ConnectionConfig): boolean =>
    (options.declared ?? []).some(
      (one) => one.kind === key.kind && one.name === key.name && program(one.config) === program(config),
    );
  const memory = options.api_memory_bytes === undefined ? {} : { memory_bytes: options.api_memory_bytes };
  return [createMcpToolkit({ ...options, declares }), createApiToolkit(memory)];
}
