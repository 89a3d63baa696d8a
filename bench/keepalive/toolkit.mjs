// A kind of connection without an upstream. The kind `mcp` would list 10,000 servers' tools while tokens are counted.
import { z } from 'zod';
import { checkSharedConfig, sharedConfigShape } from '../../dist/index.js';

export const KIND = 'idle';

/** @type {import('../../dist/index.js').Toolkit} */
export const idleToolkit = {
  kind: KIND,
  configSchema: z.strictObject({ endpoint: z.string(), ...sharedConfigShape }).superRefine(checkSharedConfig),
  connect: () => ({
    request: async () => ({ tools: [] }),
    onChange: () => {},
    test: async () => ({ ok: true, message: 'there is no upstream', details: {} }),
    close: async () => {},
  }),
};
