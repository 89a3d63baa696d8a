import { defineConfig } from 'vitest/config';

/** The tests that Stryker runs for `src/core`: pure, so that a thousand mutants take minutes. */
export default defineConfig({
  test: { include: ['tests/core/**/*.test.ts'] },
});
