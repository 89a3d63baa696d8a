import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client';
import { Client as OldClient } from '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/client/streamableHttp.js';
import { ACTOR_HEADER } from './gateway.ts';

export type Called = {
  content?: Array<{ type: string; text?: string }>;
  structuredContent?: unknown;
  isError?: boolean;
  _meta?: Record<string, unknown>;
};
export type CallOptions = { onprogress?: (progress: { progress: number }) => void; signal?: AbortSignal };

export type AnyClient = {
  era: string;
  serverName: string | undefined;
  sessionId(): string | undefined;
  tools(): Promise<Array<Record<string, unknown> & { name: string }>>;
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<Called>;
  onListChanged(listener: () => void): Promise<void>;
  close(): Promise<void>;
};

const HEADERS = { [ACTOR_HEADER]: 'apikey:a' };

/** The client of SDK v2: of the modern era, or of the legacy one. */
export async function connectV2(url: string, mode: 'legacy' | 'auto' = 'auto', headers = HEADERS): Promise<AnyClient> {
  const client = new ModernClient({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
  const transport = new ModernTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport);
  return {
    era: client.getProtocolEra() ?? '',
    serverName: client.getServerVersion()?.name,
    sessionId: () => transport.sessionId,
    tools: async () => (await client.listTools()).tools as never,
    call: async (name, args = {}, options = {}) =>
      (await client.callTool({ name, arguments: args }, options)) as Called,
    async onListChanged(listener) {
      client.setNotificationHandler('notifications/tools/list_changed', listener);
      if (client.getProtocolEra() === 'modern') await client.listen({ toolsListChanged: true });
    },
    close: () => client.close(),
  };
}

/** The client of SDK v1, which most programs still use: of the legacy era. */
export async function connectV1(url: string, headers = HEADERS): Promise<AnyClient> {
  const { ToolListChangedNotificationSchema } = await import(
    '../tools/node_modules/@modelcontextprotocol/sdk/dist/esm/types.js'
  );
  const client = new OldClient({ name: 'test', version: '1' });
  const transport = new OldTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport);
  return {
    era: 'v1',
    serverName: client.getServerVersion()?.name,
    sessionId: () => transport.sessionId,
    async tools() {
      const all: Array<Record<string, unknown> & { name: string }> = [];
      let cursor: string | undefined;
      do {
        const page = await client.listTools(cursor === undefined ? {} : { cursor });
        all.push(...(page.tools as never as typeof all));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      return all;
    },
    call: async (name, args = {}, options = {}) =>
      (await client.callTool({ name, arguments: args }, undefined, options)) as Called,
    async onListChanged(listener) {
      client.setNotificationHandler(ToolListChangedNotificationSchema, listener);
    },
    close: () => client.close(),
  };
}
