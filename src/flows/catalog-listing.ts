import { AppError } from '../core/errors.ts';
import { isRecord } from '../core/json-shape.ts';
import type {
  ListKind,
  Log,
  ToolkitCall,
  ToolkitConnection,
  UpstreamAbout,
  UpstreamCatalog,
  UpstreamTool,
} from '../core/ports.ts';
import { RpcError } from '../core/rpc-error.ts';

/** Of an upstream that cannot say what it offers, a custom toolkit for example. */
const TOOLS_ALONE: UpstreamAbout = { capabilities: { tools: {} } };

type Listed = Pick<UpstreamCatalog, 'tools' | 'prompts' | 'resources' | 'resource_templates' | 'about'>;

async function readAbout(upstream: ToolkitConnection, call: ToolkitCall): Promise<UpstreamAbout> {
  try {
    const { capabilities, serverInfo, instructions } = await upstream.request('server/discover', {}, call);
    if (!isRecord(capabilities)) return TOOLS_ALONE;
    return {
      capabilities,
      ...(isRecord(serverInfo) ? { serverInfo } : {}),
      ...(typeof instructions === 'string' ? { instructions } : {}),
    };
  } catch (error) {
    const unknown = error instanceof RpcError || (error instanceof AppError && error.code === 'upstream_failed');
    if (!unknown || call.signal.aborted) throw error;
    return TOOLS_ALONE;
  }
}

/** The upstream is there, and its list cannot be read: too long, too slow, or no list at all. */
function concernsOneList(error: unknown, { signal }: ToolkitCall): boolean {
  return (
    signal.aborted || (error instanceof AppError && (error.code === 'upstream_failed' || error.code === 'timeout'))
  );
}

/**
 * Reads what an upstream offers: everything, or the lists that it says have changed. A list beside the tools harms no
 * other: one that is declared and then refused is empty, and one that cannot be read stays as it was.
 * @throws whatever the upstream's connection throws
 */
export async function readUpstream(
  upstream: ToolkitConnection,
  before: UpstreamCatalog,
  only: ReadonlySet<ListKind> | undefined,
  { call, log, connection }: { call: ToolkitCall; log: Log; connection: string },
): Promise<Listed> {
  const about = only && before.about ? before.about : await readAbout(upstream, call);
  const wanted = (kind: ListKind) => about.capabilities[kind] !== undefined && (only?.has(kind) ?? true);
  const kept = <T>(kind: ListKind, list: T[]) => (about.capabilities[kind] === undefined ? [] : list);
  async function list<T>(kind: ListKind, method: string, field: string, known: T[]): Promise<T[]> {
    if (!wanted(kind)) return kept(kind, known);
    try {
      const answer = await upstream.request(method, {}, call);
      return Array.isArray(answer[field]) ? (answer[field] as T[]) : [];
    } catch (error) {
      if (error instanceof RpcError) {
        log.debug('an upstream declares a list and refuses it', { method, code: error.code });
        return [];
      }
      if (!concernsOneList(error, call)) throw error;
      log.warn('a list cannot be read; what is known of it is kept', { connection, method, error });
      return known;
    }
  }
  const tools = wanted('tools')
    ? ((await upstream.request('tools/list', {}, call)).tools as UpstreamTool[])
    : kept('tools', before.tools);
  const prompts = await list('prompts', 'prompts/list', 'prompts', before.prompts);
  const resources = await list('resources', 'resources/list', 'resources', before.resources);
  const templates = before.resource_templates;
  const resource_templates = await list('resources', 'resources/templates/list', 'resourceTemplates', templates);
  return { tools, prompts, resources, resource_templates, about };
}
