/** Refusals before any server saw the request: JSON-RPC errors without an id, with the HTTP status that says it too. */
export function rpcRefusal(
  status: number,
  code: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status, headers });
}

export const unknownSession = () =>
  rpcRefusal(404, -32001, 'Session not found: it ended, or belongs to somebody else. Initialize a new one.');
export const missingSession = () =>
  rpcRefusal(400, -32000, 'Bad Request: send initialize first, and its Mcp-Session-Id with every request after it.');
export const wrongMethod = () => rpcRefusal(405, -32000, 'Method not allowed.', { Allow: 'GET, POST, DELETE' });
export const wrongMediaType = () => rpcRefusal(415, -32000, 'Content-Type must be application/json.');
export const parseError = () => rpcRefusal(400, -32700, 'Parse error: the body is not JSON.');
/** The rest of the body is not read, so nothing else can come on its connection. */
export const tooLarge = (bytes: number) =>
  rpcRefusal(413, -32000, `The request is larger than ${Math.floor(bytes / 1024 / 1024)} MiB.`, {
    Connection: 'close',
  });
export const tooManySessions = () =>
  rpcRefusal(503, -32000, 'Too many sessions are open. Try again in a minute.', { 'Retry-After': '60' });
export const stopping = () => rpcRefusal(503, -32000, 'The server is stopping. Try again.', { 'Retry-After': '1' });
