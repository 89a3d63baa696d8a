import type { ConnectionKey } from '../core/connection.ts';
import type {
  Connection,
  ListKind,
  ToolkitConnection,
  ToolkitTest,
  UpstreamAbout,
  UpstreamPrompt,
  UpstreamResource,
  UpstreamTemplate,
  UpstreamTool,
} from '../core/ports.ts';
import type { Principal } from '../core/principal.ts';
import type { CatalogMember, MemberState, MemberStatus } from './catalog-member.ts';

/** Who looks, and at what: one connection as its upstream offers it, or the merged list of all. */
export type Viewer = { principal: Principal; connection: ConnectionKey | undefined };

/** Where something that is published leads. */
export type Target = {
  key: ConnectionKey;
  upstream: ToolkitConnection;
  state: MemberState;
  /** Under which prefix its URIs are published; undefined: they are as the upstream gave them. */
  prefix: string | undefined;
  /** What a call ended with, so that the flag in the list stays true. */
  note: CatalogMember['note'];
};

/** `tool`: the name that the upstream gave it. */
export type ToolTarget = Target & { tool: string; definition: UpstreamTool | undefined; arguments: unknown };

export type ToolLookup =
  | ({ found: true } & ToolTarget)
  | { found: false; reason: 'unknown' }
  /** For whoever asks it is as unknown as the others; `tool`: the name that the upstream gave it. */
  | { found: false; reason: 'denied'; key: ConnectionKey; tool: string }
  /** The connection has never been listed; its failure tells why, if one is known. `tool`: what was asked for. */
  | { found: false; reason: 'not_listed'; key: ConnectionKey; tool: string; failure: CatalogMember['error'] }
  /** The argument that names the connection of a shared tool is missing, or names none of these. */
  | { found: false; reason: 'which_connection'; argument: string; connections: string[] };

/** A connection that takes plain HTTP requests. */
export type PlainTarget = Pick<Target, 'key' | 'note'> & { handle: NonNullable<ToolkitConnection['handle']> };

/** What one viewer sees: lists in a fixed order, verbatim but for names, URIs and one key of `_meta`. */
export interface CatalogView {
  readonly about: UpstreamAbout;
  readonly tools: readonly UpstreamTool[];
  readonly prompts: readonly UpstreamPrompt[];
  readonly resources: readonly UpstreamResource[];
  readonly resource_templates: readonly UpstreamTemplate[];
  tool(name: string, args: unknown): ToolLookup;
  /** `name`: what the upstream calls the prompt. */
  prompt(name: string): (Target & { name: string }) | undefined;
  /** Of a resource or of a template. `uri`: as the upstream knows it. */
  resource(uri: string): (Target & { uri: string }) | undefined;
}

/** Lists that changed for those who see this connection; `state`: its flag in the merged list, too. */
export type CatalogChange = { key: ConnectionKey; lists: ReadonlySet<ListKind>; state: boolean };

export interface Catalog {
  /** Opens every valid connection and begins to list; waits for the database alone, never for an upstream. */
  start(): Promise<void>;
  /** The same object until something in it changes. */
  view(viewer: Viewer): CatalogView;
  /** Which connection has this name under `/mcp/`; undefined: none that this principal may use. */
  connectionAt(name: string, principal: Principal): ConnectionKey | undefined;
  /** Which of the viewer's lists a change concerns. */
  concerns(viewer: Viewer, changes: readonly CatalogChange[]): ListKind[];
  /** The open connections of a name, one for each kind, that take plain HTTP requests. */
  plainTargets(name: string): PlainTarget[];
  status(key: ConnectionKey): MemberStatus | undefined;
  /** Opens or reopens one connection when its revision or incarnation is another than the one that is open. */
  apply(connection: Connection): void;
  remove(key: ConnectionKey): void;
  /** Compares with the database: what another replica, or nobody, told us. */
  reload(): Promise<void>;
  /** Reads one connection's lists again: after a connect, for example. */
  refresh(key: ConnectionKey): void;
  test(connection: Connection, signal: AbortSignal): Promise<ToolkitTest>;
  /** Called when what clients see changed. Returns how to stop. */
  onChange(listener: (changes: readonly CatalogChange[]) => void): () => void;
  close(): Promise<void>;
}
