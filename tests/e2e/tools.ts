import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { AGENT_KEY } from '../support/platform.ts';

/** One tool call, by an official client that connects for it and leaves again. */
export async function callEcho(mcpUrl: string, connection: string, message: string): Promise<string | undefined> {
  const client = new Client({ name: 'end-to-end', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  const requestInit = { headers: { authorization: `Bearer ${AGENT_KEY}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl), { requestInit }));
  try {
    const result = await client.callTool({ name: `${connection}__echo`, arguments: { message } });
    const [part] = result.content as { type: string; text?: string }[];
    return result.isError ? `error: ${part?.text}` : part?.text;
  } finally {
    await client.close();
  }
}
