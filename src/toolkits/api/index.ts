import { apiConfigSchema } from '../../core/api-config.ts';
import type { ConfigSchema } from '../../core/connection.ts';
import type { Toolkit } from '../../core/ports.ts';
import { ApiConnection } from './connection.ts';
import { MemoryBudget } from './memory-budget.ts';
import { createDescriptionReader } from './openapi/description-reader.ts';

export const DEFAULT_API_MEMORY_BYTES = 268_435_456;

export type ApiToolkitOptions = {
  /** Of answers that are held at once, over all connections. */
  memory_bytes?: number;
};

/** Connections of kind `api`: any HTTP API, offered through the same few tools and as plain HTTP. */
export function createApiToolkit(options: ApiToolkitOptions = {}): Toolkit {
  const budget = new MemoryBudget(options.memory_bytes ?? DEFAULT_API_MEMORY_BYTES);
  const read = createDescriptionReader();
  return {
    kind: 'api',
    configSchema: apiConfigSchema as ConfigSchema,
    shared: { argument: 'connection' },
    connect: (context) => new ApiConnection({ context, budget, read }),
  };
}
