import { defineConfig } from 'vitest/config';

/** The long form of the chaos suite: one worker for each lane, each with a stage of its own. */
export default defineConfig({
  test: {
    include: ['tests/chaos/lanes/*.ts'],
    globalSetup: ['tests/support/postgres-global.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    maxWorkers: 4,
  },
});
