import { PassThrough, type Readable, type Writable } from 'node:stream';
import { Client } from '@modelcontextprotocol/client';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { STDIO_PRINCIPAL } from '../../src/core/principal.ts';
import { createStdioFace, type StdioFace } from '../../src/mcp/stdio.ts';
import { type Gateway, signState, silentLog } from './gateway.ts';

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

/** What is at the other end of a pipe: the gateway, as the program serves it over stdin and stdout. */
export function pipeFace({ catalog, toolCall }: Gateway): StdioFace {
  return createStdioFace({
    catalog,
    toolCall,
    signState,
    clock: systemClock,
    random: systemRandom,
    version: '1.2.3',
    principal: STDIO_PRINCIPAL,
    log: silentLog,
  });
}
