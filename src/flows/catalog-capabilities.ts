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
 * What we declare in front of all: the union. Tools always, so that a client which sees none yet is told of them.
 * @param whole those of which more than tools may be used
 */
export function mergedCapabilities(
  abouts: readonly (UpstreamAbout | null)[],
  whole: readonly (UpstreamAbout | null)[],
): Capabilities {
  const merged: Capabilities = { tools: {} };
  for (const about of abouts) {
    const capabilities = about?.capabilities ?? ANYTHING;
    if (capabilities.logging !== undefined) merged.logging = {};
    if (capabilities.extensions === undefined) continue;
    const extensions = { ...objectAt(merged, 'extensions'), ...objectAt(capabilities, 'extensions') };
    delete extensions[TASKS_EXTENSION];
    if (Object.keys(extensions).length > 0) merged.extensions = extensions;
  }
  for (const about of whole) {
    const capabilities = about?.capabilities ?? ANYTHING;
    for (const key of ['prompts', 'completions'] as const) if (capabilities[key] !== undefined) merged[key] = {};
    if (capabilities.resources === undefined) continue;
    const subscribe = [capabilities, merged].some((one) => objectAt(one, 'resources').subscribe === true);
    merged.resources = subscribe ? { subscribe } : {};
  }
  return told(merged);
}
