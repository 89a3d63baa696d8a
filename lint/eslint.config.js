// Biome formats and lints everything; here are only the rules that need types, and static security rules.
import { fileURLToPath } from 'node:url';
import security from 'eslint-plugin-security';
import tseslint from 'typescript-eslint';

/** Rules of eslint-plugin-security that say nothing here, each with its reason. */
const WITHOUT_USE = {
  // Every `object[key]` counts: with `noUncheckedIndexedAccess` and keys of closed unions it finds nothing but noise.
  'security/detect-object-injection': 'off',
  // Every path that is not a literal counts: the data directory and the configuration file are the operator's.
  'security/detect-non-literal-fs-filename': 'off',
  // Compares by the name of a variable, and means `secret === undefined` too; secrets are compared by timingSafeEqual.
  'security/detect-possible-timing-attacks': 'off',
};

export default tseslint.config(
  {
    ignores: ['**/dist/**', '**/node_modules/**', 'coverage/**', 'examples/**', 'tests/tools/**', 'tests/fixtures/**'],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['src/**/*.{ts,js}', 'tests/**/*.ts', 'scripts/**/*.mjs', 'portal/src/**/*.{ts,tsx}'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: {
        project: ['tsconfig.json', 'portal/tsconfig.json'],
        tsconfigRootDir: fileURLToPath(new URL('..', import.meta.url)),
      },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-for-in-array': 'error',
      '@typescript-eslint/no-implied-eval': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingUnknown: true, allowThrowingAny: true },
      ],
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ['src/**/*.ts', 'portal/src/**/*.{ts,tsx}'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'error',
      '@typescript-eslint/no-unsafe-assignment': 'error',
      '@typescript-eslint/no-unsafe-call': 'error',
      '@typescript-eslint/no-unsafe-member-access': 'error',
      '@typescript-eslint/no-unsafe-return': 'error',
    },
  },
  {
    files: ['src/**/*.{ts,js}', 'scripts/**/*.mjs', 'portal/src/**/*.{ts,tsx}'],
    plugins: { security },
    rules: {
      ...Object.fromEntries(Object.keys(security.configs.recommended.rules).map((rule) => [rule, 'error'])),
      ...WITHOUT_USE,
    },
  },
  {
    // Handlers that answer every fault themselves, and Node's types that promise nothing to the caller.
    files: ['src/listen.ts', 'src/db/embedded/worker.js', 'tests/**/*.ts'],
    rules: { '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }] },
  },
  {
    // The router's redirect is thrown by design of the library.
    files: ['portal/src/router.tsx'],
    rules: { '@typescript-eslint/only-throw-error': 'off' },
  },
  {
    // Read one by one: no two neighbouring repetitions can match the same characters, so that they run in linear time.
    files: [
      'scripts/changed-lines.mjs',
      'src/config.ts',
      'src/core/duration.ts',
      'src/db/replica-identity.ts',
      'src/oauth/challenge.ts',
      'portal/src/text/time.ts',
    ],
    rules: { 'security/detect-unsafe-regex': 'off' },
  },
  {
    // The expression is made from our own table of endpoints.
    files: ['src/http/app.ts'],
    rules: { 'security/detect-non-literal-regexp': 'off' },
  },
);
