import type { JSONRPCRequest } from '@modelcontextprotocol/client';

/** What a legacy client has set in its session, to be set again at a new owner. */
export class SessionMemory {
  #level: JSONRPCRequest | undefined;
  readonly #followed = new Map<string, JSONRPCRequest>();

  /** Takes note of a request that was granted. */
  keep(request: JSONRPCRequest): void {
    const uri = String(request.params?.uri);
    if (request.method === 'logging/setLevel') this.#level = request;
    else if (request.method === 'resources/subscribe') this.#followed.set(uri, request);
    else if (request.method === 'resources/unsubscribe') this.#followed.delete(uri);
  }

  clear(): void {
    this.#level = undefined;
    this.#followed.clear();
  }

  has(request: JSONRPCRequest): boolean {
    return this.requests().includes(request);
  }

  requests(): JSONRPCRequest[] {
    return [...(this.#level ? [this.#level] : []), ...this.#followed.values()];
  }
}
