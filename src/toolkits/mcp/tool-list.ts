import { ToolSchema } from '@modelcontextprotocol/core';
import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitContext, UpstreamTool } from '../../core/ports.ts';

/** One upstream may not fill the memory or the models' context of everybody: the first bound reached is an error. */
export const LIST_BOUNDS = { pages: 200, tools: 10_000, bytes: 32 * 1024 * 1024 };

type Page = { tools?: unknown; nextCursor?: unknown };

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A tool as clients can read it, or undefined when nothing can be made of it. A client refuses a whole list over one
 * tool that breaks the protocol, so a root without `type: "object"` gets it, and what stays unreadable is left out;
 * everything else is verbatim (lesson 34).
 */
export function readableTool(raw: unknown): UpstreamTool | undefined {
  if (!isRecord(raw) || typeof raw.name !== 'string' || raw.name === '') return undefined;
  const schema = isRecord(raw.inputSchema) ? raw.inputSchema : {};
  const tool =
    schema.type === 'object' && schema === raw.inputSchema
      ? raw
      : { ...raw, inputSchema: { ...schema, type: 'object' } };
  return ToolSchema.safeParse(tool).success ? (tool as UpstreamTool) : undefined;
}

/** undefined: nested so deeply that nobody could read it. */
function sizeOf(raw: unknown): number | undefined {
  try {
    return JSON.stringify(raw)?.length;
  } catch {
    return undefined;
  }
}

/**
 * Reads every page of `tools/list` (lesson 31).
 * @throws AppError upstream_failed when a bound is passed or the answer is no list; whatever `page` throws.
 */
export async function readAllTools(
  context: ToolkitContext,
  page: (params: Record<string, unknown>) => Promise<Record<string, unknown>>,
): Promise<UpstreamTool[]> {
  const label = connectionLabel(context.key);
  const tools = new Map<string, UpstreamTool>();
  const leftOut: string[] = [];
  let bytes = 0;
  let cursor: string | undefined;
  for (let pages = 1; ; pages += 1) {
    const answer: Page = await page(cursor === undefined ? {} : { cursor });
    if (!Array.isArray(answer.tools)) {
      throw new AppError('upstream_failed', `The upstream of ${label} answered tools/list without a list of tools.`);
    }
    for (const raw of answer.tools) {
      const length = sizeOf(raw);
      bytes += length ?? 0;
      const tool = length === undefined ? undefined : readableTool(raw);
      if (!tool) leftOut.push(isRecord(raw) && typeof raw.name === 'string' ? raw.name.slice(0, 100) : '(no name)');
      else if (!tools.has(tool.name)) tools.set(tool.name, tool);
    }
    if (pages >= LIST_BOUNDS.pages || tools.size > LIST_BOUNDS.tools || bytes > LIST_BOUNDS.bytes) {
      const text = `The upstream of ${label} lists more than is accepted: at most ${LIST_BOUNDS.tools} tools on ${LIST_BOUNDS.pages} pages in 32 MiB.`;
      throw new AppError('upstream_failed', text);
    }
    // An empty string is a valid cursor; the one that was just used would lead round in circles.
    if (typeof answer.nextCursor !== 'string' || answer.nextCursor === cursor) break;
    cursor = answer.nextCursor;
  }
  if (leftOut.length > 0) {
    context.log.warn('tools left out: they break the protocol', {
      connection: label,
      tools: leftOut.slice(0, 20),
      count: leftOut.length,
    });
  }
  return [...tools.values()];
}
