import { inject } from 'vitest';
import { testCases } from '../chaos-case.ts';
import { PROVIDER } from '../provider-cases.ts';

testCases(PROVIDER, { postgres: () => inject('postgresUrl') });
