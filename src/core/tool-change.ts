import type { ConnectionKey } from './connection.ts';
import type { Instant } from './token-set.ts';
import type { UpstreamTool } from './toolkit.ts';

/** Closed: the database refuses any other. */
export const TOOL_CHANGES = ['added', 'removed', 'changed'] as const;
export type ToolChangeKind = (typeof TOOL_CHANGES)[number];

export const TOOL_PARTS = [
  'title',
  'description',
  'inputSchema',
  'outputSchema',
  'annotations',
  '_meta',
  'other',
] as const;
export type ToolPart = (typeof TOOL_PARTS)[number];

/** How one tool differs from what it was; the texts are its JSON, of which only digests are kept. */
export type ToolDifference = {
  tool: string;
  change: ToolChangeKind;
  /** Empty unless `changed`. */
  parts: ToolPart[];
  before: string | null;
  after: string | null;
};

const NAMED: readonly string[] = TOOL_PARTS;

function partsOf(before: UpstreamTool, after: UpstreamTool): ToolPart[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const parts = new Set<string>();
  for (const name of names) {
    if (JSON.stringify(before[name]) !== JSON.stringify(after[name])) parts.add(NAMED.includes(name) ? name : 'other');
  }
  return TOOL_PARTS.filter((part) => parts.has(part));
}

/** Everything in which a list of tools differs from the one before. The order of the list is no difference. */
export function toolDifferences(before: readonly UpstreamTool[], after: readonly UpstreamTool[]): ToolDifference[] {
  const known = new Map(before.map((tool) => [tool.name, tool]));
  const found: ToolDifference[] = [];
  for (const tool of after) {
    const was = known.get(tool.name);
    known.delete(tool.name);
    const text = JSON.stringify(tool);
    if (!was) {
      found.push({ tool: tool.name, change: 'added', parts: [], before: null, after: text });
      continue;
    }
    const parts = partsOf(was, tool);
    if (parts.length > 0) {
      found.push({ tool: tool.name, change: 'changed', parts, before: JSON.stringify(was), after: text });
    }
  }
  for (const [name, was] of known) {
    found.push({ tool: name, change: 'removed', parts: [], before: JSON.stringify(was), after: null });
  }
  return found;
}

/** So many changes of one connection are kept of one day (UTC): an upstream may list other tools whenever it is asked. */
export const TOOL_CHANGES_PER_DAY = 200;

/** A change as it is kept. */
export type ToolChange = {
  /** Sorts by time: see `timeOrderedId`. */
  id: string;
  occurred_at: Instant;
  key: ConnectionKey;
  tool: string;
  change: ToolChangeKind;
  parts: ToolPart[];
  /** SHA-256, hex, of the tool's JSON. */
  before_digest: string | null;
  after_digest: string | null;
};

export interface ToolChangeStore {
  /**
   * The same change of the same day is kept once, whoever saw it: replicas list on their own, and an upstream may flip
   * between two forms at every listing.
   * @returns how many were left out because of the bound of the day
   */
  append(
    key: ConnectionKey,
    changes: readonly (ToolDifference & { id: string; occurred_at: Instant })[],
  ): Promise<number>;
  /** Newest first. */
  list(query: { key: ConnectionKey; before?: string | undefined; limit: number }): Promise<ToolChange[]>;
  prune(before: Instant, limit: number): Promise<number>;
}
