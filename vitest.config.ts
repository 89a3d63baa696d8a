import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: ['**/node_modules/**', 'tests/tools/**'],
    globalSetup: ['tests/support/postgres-global.ts'],
    // Real servers, browsers and databases on a busy machine: a test fails by its facts, not by its slowness.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores: more workers than that only make the real processes wait for each other.
    maxWorkers: 3,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.{ts,js}'],
      // Run as processes and worker threads by the tests, where this coverage does not follow; see scripts/changed-lines.mjs.
      exclude: [
        'src/cli.ts',
        'src/demo.ts',
        'src/db/embedded/worker.js',
        'src/db/embedded/durable-file-system.js',
        'src/toolkits/api/openapi/description-worker.js',
      ],
      reporter: ['text-summary', 'json-summary', 'json', 'lcovonly'],
      reportsDirectory: 'coverage',
      thresholds: { lines: 87, statements: 87 },
    },
  },
});
