import type { ConnectionConfig, ConnectionKey } from '../core/connection.ts';
import type { Toolkit } from '../core/ports.ts';
import { createMcpToolkit } from './mcp/index.ts';

type Declared = ConnectionKey & { config: Record<string, unknown> };

/** What starts a program: it must stand in the configuration file of this process just so. */
function program({ command, args, env, cwd }: Record<string, unknown>): string {
  return JSON.stringify([command, args, Object.entries(env ?? {}).sort(), cwd]);
}

/** The kinds of connection that are built in. `declared`: the connections of this process's configuration file. */
export function builtInToolkits(options: { version?: string; declared?: readonly Declared[] } = {}): Toolkit[] {
  const declares = (key: ConnectionKey, config: ConnectionConfig): boolean =>
    (options.declared ?? []).some(
      (one) => one.kind === key.kind && one.name === key.name && program(one.config) === program(config),
    );
  return [createMcpToolkit({ ...options, declares })];
}
