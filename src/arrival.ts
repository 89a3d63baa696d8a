import type { Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

export type ArrivalLimits = {
  /** Within this a request must have arrived, its body included; its headers within a minute at most. */
  limit_ms: number;
  /** How often that is looked at. */
  look_ms: number;
};

const LATE = 'ERR_HTTP_REQUEST_TIMEOUT';
/** What is sent in place of an answer, as the library itself has it; `400 Bad Request` for everything else. */
const REFUSALS: Record<string, string> = {
  [LATE]: '408 Request Timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

/**
 * Nobody holds a connection by sending next to nothing. A request that `isPatient` may arrive for as long as it is being
 * answered: whoever answers it watches its body, and has let it in.
 */
export function limitArrival(server: Server, limit_ms: number, isPatient: (path: string) => boolean): void {
  server.requestTimeout = limit_ms;
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.prependListener('request', (incoming, answer) => answers.set(incoming.socket, answer));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const answer = answers.get(socket);
    const isOpen = answer !== undefined && !answer.writableFinished;
    if (isOpen && error.code === LATE && isPatient(answer.req.url ?? '')) {
      // It is looked at once: what is still to come when the answer is out would be waited for without end.
      answer.once('close', () => answer.req.complete || socket.destroy());
      return;
    }
    const refusal = REFUSALS[error.code ?? ''] ?? '400 Bad Request';
    if (socket.writable && !(isOpen && answer.headersSent)) {
      socket.write(`HTTP/1.1 ${refusal}\r\nConnection: close\r\n\r\n`);
    }
    socket.destroy(error);
  });
}
