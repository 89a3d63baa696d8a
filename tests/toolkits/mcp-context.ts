import { systemClock, systemRandom } from '../../src/clock.ts';
import type { ToolkitCall, ToolkitClient, ToolkitConnection, ToolkitContext } from '../../src/core/ports.ts';
import { Secret } from '../../src/core/redact.ts';
import { createMcpToolkit } from '../../src/toolkits/mcp/index.ts';
import { connection, fetchPort, silentLog } from '../mcp/gateway.ts';

export function toolkitContext(config: Record<string, unknown>, changed: Partial<ToolkitContext> = {}): ToolkitContext {
  const { key, config: parsed } = connection('up', config);
  return {
    key,
    config: parsed,
    accessToken: async () => new Secret('token-1'),
    fetch: fetchPort,
    log: silentLog,
    clock: systemClock,
    random: systemRandom,
    authEvents: { append: async () => undefined },
    ...changed,
  };
}

export function openUpstream(
  config: Record<string, unknown>,
  changed: Partial<ToolkitContext> = {},
): ToolkitConnection {
  return createMcpToolkit({ version: '1.2.3', declares: () => true }).connect(toolkitContext(config, changed));
}

export function aCall(changed: Partial<ToolkitCall> = {}): ToolkitCall {
  return { signal: new AbortController().signal, principal: { actor: 'apikey:a' }, ...changed };
}

export type RecordingClient = ToolkitClient & {
  asked: Array<{ method: string; params: Record<string, unknown>; signal: AbortSignal }>;
  told: Array<{ method: string; params: Record<string, unknown> }>;
};

/** A client that notes what it is asked and told, and answers by method. */
export function aClient(
  capabilities: Record<string, unknown>,
  answers: Record<string, Record<string, unknown> | ((signal: AbortSignal) => Promise<Record<string, unknown>>)> = {},
  more: Partial<ToolkitClient> = {},
): RecordingClient {
  const asked: RecordingClient['asked'] = [];
  const told: RecordingClient['told'] = [];
  return {
    capabilities,
    asked,
    told,
    async ask(method, params, signal) {
      asked.push({ method, params, signal });
      const answer = answers[method];
      return typeof answer === 'function' ? await answer(signal) : (answer ?? {});
    },
    notify: (method, params) => void told.push({ method, params }),
    ...more,
  };
}
