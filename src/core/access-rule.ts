import { z } from 'zod';
import { type ConnectionKey, connectionLabel } from './connection.ts';

type Glob = (text: string) => boolean;
type Rule = { connection: Glob; tool: Glob | null };

/** What a principal may use, compiled once from its `allow` and `deny` patterns. */
export type AccessRules = { readonly allow: readonly Rule[]; readonly deny: readonly Rule[] };

const MAX_PATTERN = 512;
const CONNECTION = /^[a-z0-9*-]+\/[a-z0-9*-]+$/;

/** `mcp/github:create_*` → `mcp/github` and `create_*`; no colon, no tool. */
function halves(pattern: string): [connection: string, tool: string | null] {
  const colon = pattern.indexOf(':');
  return colon < 0 ? [pattern, null] : [pattern.slice(0, colon), pattern.slice(colon + 1)];
}

/** `mcp/github`, `mcp/*`, `mcp/github:create_*` or `*`: the connection, and after a colon the upstream's name of a tool. */
export const accessPatternSchema = z
  .string()
  .max(MAX_PATTERN)
  .refine((text) => {
    const [connection, tool] = halves(text);
    return (connection === '*' || CONNECTION.test(connection)) && tool !== '';
  }, 'must be kind/name or kind/name:tool, where * stands for any text, such as mcp/github:create_*');

/** `*` is any text, none included. Walks the text once per part, so that a hostile name of a tool costs no more. */
function glob(pattern: string): Glob {
  const parts = pattern.split('*');
  const [first = '', ...rest] = parts;
  const last = rest.pop();
  if (last === undefined) return (text) => text === pattern;
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let at = first.length;
    for (const part of rest) {
      const found = text.indexOf(part, at);
      if (found < 0 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}

function rule(pattern: string): Rule {
  const [connection, tool] = halves(pattern);
  return { connection: glob(connection), tool: tool === null ? null : glob(tool) };
}

/**
 * @param patterns texts that {@link accessPatternSchema} has passed; no `allow` is everything, an empty one is nothing
 */
export function accessRules(patterns: { allow?: readonly string[]; deny?: readonly string[] }): AccessRules {
  return { allow: (patterns.allow ?? ['*']).map(rule), deny: (patterns.deny ?? []).map(rule) };
}

/** A principal, as far as these rules care. */
type Holder = { access: AccessRules };

export const EVERYTHING: AccessRules = accessRules({});

/**
 * Whether a principal may use a tool, by the upstream's own name; or, without one, what a connection offers beside its
 * tools (resources, prompts), for which a pattern that names tools says neither yes nor no. Deny wins, and what no
 * pattern allows is denied.
 */
export function permits({ access }: Holder, key: ConnectionKey, tool?: string): boolean {
  const label = connectionLabel(key);
  const applies = (each: Rule) =>
    each.connection(label) && (each.tool === null || (tool !== undefined && each.tool(tool)));
  return access.allow.some(applies) && !access.deny.some(applies);
}

/** Whether the connection is there at all for a principal: something on it is, or may come to be, permitted. */
export function reaches({ access }: Holder, key: ConnectionKey): boolean {
  const label = connectionLabel(key);
  return (
    access.allow.some(({ connection }) => connection(label)) &&
    !access.deny.some(({ connection, tool }) => tool === null && connection(label))
  );
}

/** Whether no pattern takes anything of the connection away: for what goes around its tools, such as plain HTTP. */
export function permitsAll({ access }: Holder, key: ConnectionKey): boolean {
  const label = connectionLabel(key);
  return (
    access.allow.some(({ connection, tool }) => tool === null && connection(label)) &&
    !access.deny.some(({ connection }) => connection(label))
  );
}
