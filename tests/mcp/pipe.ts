import { PassThrough, type Readable, type Writable } from 'node:stream';
import { Client } from '@modelcontextprotocol/client';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';

export type PipedClient = {
  client: Client;
  /** Closes the client's end of the pipe and waits until the other side has noticed. */
  close(): Promise<void>;
};

/** An official client at one end of a pipe, whatever `serve` is at the other. */
export async function connectPipe(
  serve: (stdin: Readable, stdout: Writable) => Promise<void>,
  mode: 'legacy' | 'auto',
): Promise<PipedClient> {
  const toServer = new PassThrough();
  const toClient = new PassThrough();
  const served = serve(toServer, toClient);
  const client = new Client({ name: 'piped', version: '1' }, { versionNegotiation: { mode } });
  await client.connect(new StdioServerTransport(toClient, toServer));
  return {
    client,
    async close() {
      await client.close();
      toServer.end();
      await served;
    },
  };
}
