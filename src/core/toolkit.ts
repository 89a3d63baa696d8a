import type { NewAuthEvent } from './auth-event.ts';
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
  accessToken(options?: { rejected?: Secret; signal?: AbortSignal }): Promise<Secret>;
  fetch: Fetch;
  log: Log;
  clock: Clock;
  random: Random;
  authEvents: { append(events: NewAuthEvent[]): Promise<void> };
};

export type ToolkitCall = {
  signal: AbortSignal;
  principal: { actor: string };
  /** Progress of a long call, to be re-emitted under the caller's own token. */
  onprogress?: (progress: { progress: number; total?: number; message?: string }) => void;
};

/** An upstream's tool, verbatim: schemas, annotations, `_meta` and fields that we do not know are kept. */
export type UpstreamTool = { name: string } & Record<string, unknown>;

export type ToolkitTest = { ok: boolean; message: string; details: Record<string, unknown> };

export interface ToolkitConnection {
  /** `tools/list` → `{ tools }` with all pages read; `tools/call` → the upstream's result, verbatim. */
  request(method: string, params: Record<string, unknown>, call: ToolkitCall): Promise<Record<string, unknown>>;
  /** Called whenever what the upstream offers may have changed. */
  onChange(listener: () => void): void;
  test(signal: AbortSignal): Promise<ToolkitTest>;
  close(): Promise<void>;
}

export interface Toolkit {
  kind: string;
  configSchema: ConfigSchema;
  /** Must not dial: the first request does, so that start-up never waits for an upstream. */
  connect(context: ToolkitContext): ToolkitConnection;
}
