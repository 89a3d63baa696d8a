import type { UpstreamAbout } from '../core/ports.ts';

type Capabilities = Record<string, unknown>;

const LISTS = ['tools', 'prompts', 'resources'] as const;
/** What we cannot carry: a task would outlive the request that we relay. */
const NOT_CARRIED = ['tasks'];
const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks';

/** A connection that has never been listed may turn out to offer any of it. */
const ANYTHING: Capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, completions: {}, logging: {} };

function objectAt(capabilities: Capabilities, key: string): Record<string, unknown> {
  const value = capabilities[key];
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

/** We tell of every change of a list, whoever caused it: the upstream, a sign-in, an operator. */
function told(capabilities: Capabilities): Capabilities {
  const declared = { ...capabilities };
  for (const list of LISTS) {
    if (declared[list] !== undefined) declared[list] = { ...objectAt(declared, list), listChanged: true };
  }
  return declared;
}

/** What we declare in front of one upstream: what it declares, but for what we cannot carry. */
export function relayedAbout(about: UpstreamAbout | null): UpstreamAbout {
  const { capabilities, ...rest } = about ?? { capabilities: ANYTHING };
  const carried = { ...capabilities };
  for (const key of NOT_CARRIED) delete carried[key];
  if (carried.extensions !== undefined) {
    const { [TASKS_EXTENSION]: _, ...extensions } = objectAt(carried, 'extensions');
    carried.extensions = extensions;
  }
  return { ...rest, capabilities: told(carried) };
}

/** What is left for whoever may use some of the tools and nothing else. */
export function toolsAlone({ tools, logging, extensions }: Capabilities): Capabilities {
  return {
    ...(tools === undefined ? {} : { tools }),
    ...(logging === undefined ? {} : { logging }),
    ...(extensions === undefined ? {} : { extensions }),
  };
}

/**
 * What we declare in front of all. A client holds what it was told first, and connections come and go: so it is what any
 * connection may turn out to offer, whether or not one does by then, and the extensions of those that are there.
 */
export function mergedCapabilities(abouts: readonly (UpstreamAbout | null)[]): Capabilities {
  const merged = told(ANYTHING);
  const extensions: Record<string, unknown> = {};
  for (const about of abouts) Object.assign(extensions, objectAt(about?.capabilities ?? {}, 'extensions'));
  delete extensions[TASKS_EXTENSION];
  return Object.keys(extensions).length > 0 ? { ...merged, extensions } : merged;
}
