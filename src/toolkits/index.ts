import type { Toolkit } from '../core/ports.ts';
import { createMcpToolkit } from './mcp/index.ts';

/** The kinds of connection that are built in. */
export function builtInToolkits(options: { version?: string } = {}): Toolkit[] {
  return [createMcpToolkit(options)];
}
