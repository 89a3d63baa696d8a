import { isRecord } from '../../core/json-shape.ts';
import type { ToolkitClient } from '../../core/ports.ts';

type Capabilities = Record<string, unknown>;

/** What makes an upstream of the legacy era ask its client: one that declares any gets a session of its own. */
export const ASKING = ['sampling', 'elicitation', 'roots'] as const;

/** Tasks change the shape of every result, and nothing here could follow one up. */
const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/**
 * What is declared where the platform asks for itself: everything, because many upstreams hide what a client cannot
 * serve (lesson 39). Requests that come of it are refused by the wire.
 */
export const EVERYTHING: Capabilities = {
  roots: { listChanged: true },
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } },
};

/** The client's capabilities as they may be told to an upstream. */
export function forwarded(client: ToolkitClient): Capabilities {
  const { tasks: _, extensions, ...rest } = client.capabilities;
  if (!isRecord(extensions)) return rest;
  const { [TASKS_EXTENSION]: __, ...kept } = extensions;
  return { ...rest, extensions: kept };
}

export function canBeAsked(client: ToolkitClient): boolean {
  return ASKING.some((name) => name in client.capabilities);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, child]) => [key, sorted(child)]),
  );
}

/** Equal for equal sets of capabilities, whatever the order in which they were declared. */
export function capabilityKey(capabilities: Capabilities): string {
  return JSON.stringify(sorted(capabilities));
}

/** The names of asking capabilities that the client has not declared, for a sentence. */
export function undeclared(client: ToolkitClient | undefined): string[] {
  return ASKING.filter((name) => !client || !(name in client.capabilities));
}
