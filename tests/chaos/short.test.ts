import { describe, inject } from 'vitest';
import { testCases } from './chaos-case.ts';
import { OUTAGES } from './database-cases.ts';
import { KILLS } from './kill-cases.ts';
import { PROVIDER } from './provider-cases.ts';

const SHORT = [
  'kill -9 after send, the provider rotated, reply on the way',
  'kill -9 after escrow, before commit',
  'database cut after the claim, its answer lost',
  'database cut at the commit of the new token',
  'grant taken back before the provider processed a refresh',
];

describe('chaos, in short (the long form is npm run chaos)', () => {
  const cases = [...KILLS, ...OUTAGES, ...PROVIDER].filter(({ name }) => SHORT.includes(name));
  testCases(cases, { runs: 1, postgres: () => inject('postgresUrl') });
});
