import { inject } from 'vitest';
import { testCases } from '../chaos-case.ts';
import { REPLICAS } from '../replica-cases.ts';

testCases(REPLICAS, { replicas: 3, postgres: () => inject('postgresUrl') });
