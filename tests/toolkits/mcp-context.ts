import { systemClock, systemRandom } from '../../src/clock.ts';
import type { ToolkitCall, ToolkitConnection, ToolkitContext } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { createMcpToolkit } from '../../src/toolkits/mcp/index.ts';
import { connection, fetchPort, silentLog } from '../mcp/gateway.ts';

export function openUpstream(
  config: Record<string, unknown>,
  changed: Partial<ToolkitContext> = {},
): ToolkitConnection {
  const { key, config: parsed } = connection('up', config);
  return createMcpToolkit({ version: '1.2.3' }).connect({
    key,
    config: parsed,
    accessToken: async () => new Secret('token-1'),
    fetch: fetchPort,
    log: silentLog,
    clock: systemClock,
    random: systemRandom,
    authEvents: { append: async () => undefined },
    ...changed,
  });
}

export function aCall(changed: Partial<ToolkitCall> = {}): ToolkitCall {
  return { signal: new AbortController().signal, principal: { actor: 'apikey:a' }, ...changed };
}
