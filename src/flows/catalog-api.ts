import type { ConnectionKey } from '../core/connection.ts';
import type { Connection, ToolkitConnection, ToolkitTest, UpstreamTool } from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { CatalogMember, MemberState, MemberStatus } from './catalog-member.ts';

/** Where a published tool leads. */
export type ResolvedTool = {
  key: ConnectionKey;
  /** The name that the upstream gave it. */
  tool: string;
  definition: UpstreamTool;
  upstream: ToolkitConnection;
  state: MemberState;
  /** What a call ended with, so that the flag in the list stays true. */
  note: CatalogMember['note'];
};

export interface Catalog {
  /** Opens every valid connection and begins to list; waits for the database alone, never for an upstream. */
  start(): Promise<void>;
  /** The tools that a principal may see, in a fixed order, verbatim but for their name and one key of `_meta`. */
  tools(principal: Principal): readonly UpstreamTool[];
  resolve(publishedName: string): ResolvedTool | undefined;
  status(key: ConnectionKey): MemberStatus | undefined;
  /** Opens or reopens one connection when its revision or incarnation is another than the one that is open. */
  apply(connection: Connection): void;
  remove(key: ConnectionKey): void;
  /** Compares with the database: what another replica, or nobody, told us. */
  reload(): Promise<void>;
  /** Lists one connection's tools again: after a connect, for example. */
  refresh(key: ConnectionKey): void;
  test(connection: Connection, signal: AbortSignal): Promise<ToolkitTest>;
  /** Called when the list that clients see changed. Returns how to stop. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}
