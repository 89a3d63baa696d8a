import { defineConfig } from 'vitest/config';

/** The tests that Stryker runs: rules and flows, with the stores in memory, so that a thousand mutants take minutes. */
export default defineConfig({
  test: {
    include: ['tests/core/**/*.test.ts', 'tests/flows/**/*.test.ts', 'tests/traces/traces.test.ts'],
    // Its subject is PostgreSQL.
    exclude: ['tests/flows/replicas.test.ts'],
    provide: { flowStores: 'memory' },
  },
});
