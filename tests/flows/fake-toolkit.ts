import type { ListKind, Toolkit, ToolkitCall, ToolkitConnection, UpstreamTool } from '../../src/core/ports.ts';

export type FakeUpstream = {
  tools: UpstreamTool[];
  /** Answers of other methods, or what they fail with; without one of `server/discover`, it offers tools alone. */
  answers: Record<string, Record<string, unknown> | Promise<Record<string, unknown>> | Error>;
  fail: Error | undefined;
  /** `closed`: it was asked of a connection that had been closed. */
  calls: Array<{ method: string; params: Record<string, unknown>; call: ToolkitCall; closed: boolean }>;
  opened: number;
  closed: number;
  changed(kind?: ListKind): void;
};

export function tool(name: string, more: Record<string, unknown> = {}): UpstreamTool {
  return { name, inputSchema: { type: 'object' }, ...more };
}

/** A kind of connection without a network: each name is an upstream that the test steers. */
export function fakeToolkit(
  kind: string,
  upstreams: Map<string, FakeUpstream>,
  shared?: { argument: string },
): Toolkit {
  return {
    kind,
    ...(shared ? { shared } : {}),
    configSchema: undefined as never,
    connect({ key }): ToolkitConnection {
      const upstream = upstreams.get(key.name);
      if (!upstream) throw new Error('no such upstream in this test');
      upstream.opened += 1;
      let closed = false;
      return {
        async request(method, params, call) {
          upstream.calls.push({ method, params, call, closed });
          if (upstream.fail) throw upstream.fail;
          if (method === 'tools/list') return { tools: upstream.tools };
          const answer = upstream.answers[method] ?? { content: [{ type: 'text', text: 'done' }] };
          if (answer instanceof Error) throw answer;
          return answer;
        },
        onChange(listener) {
          upstream.changed = listener;
        },
        test: async () => ({ ok: true, message: 'fine', details: {} }),
        async close() {
          upstream.closed += 1;
          closed = true;
        },
      };
    },
  };
}

export function fakeUpstream(...tools: UpstreamTool[]): FakeUpstream {
  return { tools, answers: {}, fail: undefined, calls: [], opened: 0, closed: 0, changed: () => undefined };
}
