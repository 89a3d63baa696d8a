/**
 * A JSON-RPC error that an upstream answered with, on its way to the caller as it is: it belongs to the conversation
 * between the two, and is no failure of ours.
 * @see https://www.jsonrpc.org/specification#error_object
 */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: number;
  readonly data: unknown;

  constructor(code: number, message: string, data?: unknown) {
    super(message);
    this.code = code;
    this.data = data;
  }
}
