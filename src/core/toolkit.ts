import type { NewAuthEvent } from './auth-event.ts';
import type { AbortLike } from './cancellation.ts';
import type { ConfigSchema, ConnectionConfig, ConnectionKey } from './connection.ts';
import type { Clock, Fetch, Log, Random } from './environment.ts';
import type { Secret } from './redact.ts';

/** Handed to a toolkit at connect: all that it ever sees. Never a refresh token. */
export type ToolkitContext = {
  key: ConnectionKey;
  config: ConnectionConfig;
  /**
   * A valid access token of an `oauth` connection. `rejected` names the token that the upstream refused with a 401:
   * the platform re-reads, else refreshes once.
   * @throws AppError `needs_person` when only a person can help, `unavailable` when it is worth trying again.
   */
  accessToken(options?: { rejected?: Secret; signal?: AbortLike }): Promise<Secret>;
  fetch: Fetch;
  log: Log;
  clock: Clock;
  random: Random;
  authEvents: { append(events: NewAuthEvent[]): Promise<void> };
};

/** The lists of an upstream that can change under its clients. */
export type ListKind = 'tools' | 'prompts' | 'resources';

/** A conversation of the legacy era that a client holds with us; an upstream may have one of its own for it. */
export type ToolkitClientSession = {
  id: string;
  /** Aborts when the client's session is over: whatever the upstream keeps for it ends, too. */
  ended: AbortSignal;
  /** Calls back whenever the client says that its roots changed, until the signal aborts. */
  onRootsChanged?(changed: () => void, until: AbortSignal): void;
};

/**
 * Whoever is behind a call, as far as an upstream may know: what its client can do, and how to reach it. Never an
 * identity, a header, a token or a protocol version of the caller.
 */
export type ToolkitClient = {
  /** `ClientCapabilities` as the client declared them: `sampling`, `elicitation`, `roots`, `extensions`. */
  capabilities: Record<string, unknown>;
  /** `io.modelcontextprotocol/logLevel` of this call, or what `logging/setLevel` set for the session. */
  log_level?: string;
  /** Present for a legacy client: calls with the same session share one conversation with the upstream. */
  session?: ToolkitClientSession;
  /**
   * Asks the client in the midst of a call: `sampling/createMessage`, `elicitation/create`, `roots/list`.
   * @throws RpcError what the client answered, or that it cannot be asked.
   */
  ask(method: string, params: Record<string, unknown>, signal: AbortSignal): Promise<Record<string, unknown>>;
  /** Tells the client something that belongs to this call: `notifications/message` and the like. */
  notify(method: string, params: Record<string, unknown>): void;
};

export type ToolkitCall = {
  signal: AbortSignal;
  principal: { actor: string };
  /** Progress of a long call, to be re-emitted under the caller's own token. */
  onprogress?: (progress: { progress: number; total?: number; message?: string }) => void;
  /** Absent where the platform asks for itself: lists, tests. */
  client?: ToolkitClient;
};

/** An upstream's tool, verbatim: schemas, annotations, `_meta` and fields that we do not know are kept. */
export type UpstreamTool = { name: string } & Record<string, unknown>;

export type ToolkitTest = { ok: boolean; message: string; details: Record<string, unknown> };

/** A plain HTTP request, as far as it concerns a connection. A standard Request is one. */
export type PlainRequest = Pick<Request, 'method' | 'url' | 'headers' | 'body' | 'arrayBuffer' | 'signal'>;

export interface ToolkitConnection {
  /**
   * One MCP request, answered with the upstream's result, verbatim:
   * - `tools/list`, `prompts/list`, `resources/list`, `resources/templates/list` → the list with all pages read;
   * - `server/discover` → `{ capabilities, serverInfo?, instructions? }` of the upstream;
   * - `tools/call`, `prompts/get`, `resources/read`, `completion/complete` → its result. Where an upstream wants the
   *   client's input first, that is `{ resultType: 'input_required', inputRequests, requestState? }`, and the request
   *   is repeated with `inputResponses` and the same `requestState`; other upstreams use `call.client.ask` meanwhile.
   * @throws RpcError the upstream's own JSON-RPC error; AppError a failure of the connection.
   */
  request(method: string, params: Record<string, unknown>, call: ToolkitCall): Promise<Record<string, unknown>>;
  /**
   * Follows one resource until the signal aborts, over dropped sessions, too; resolves once the upstream has agreed.
   * `updated` receives the parameters of each `notifications/resources/updated`. A `client` with a session is also told
   * of what the upstream changes in its conversation for that session alone, until the session ends.
   */
  subscribe?(
    uri: string,
    updated: (params: Record<string, unknown>) => void,
    signal: AbortSignal,
    client?: ToolkitClient,
  ): Promise<void>;
  /** One plain HTTP request of a program, the connection's credential added; `/…` and query are the caller's. */
  handle?(request: PlainRequest, call: ToolkitCall): Promise<Response>;
  /** Called whenever what the upstream offers may have changed; undefined: any of its lists. */
  onChange(listener: (changed?: ListKind) => void): void;
  test(signal: AbortSignal): Promise<ToolkitTest>;
  close(): Promise<void>;
}

export interface Toolkit {
  kind: string;
  configSchema: ConfigSchema;
  /**
   * Its connections all offer the same tools: in the merged list each is published once, without a prefix, and this
   * argument of a call names the connection.
   */
  shared?: { argument: string };
  /** Must not dial: the first request does, so that start-up never waits for an upstream. */
  connect(context: ToolkitContext): ToolkitConnection;
}
