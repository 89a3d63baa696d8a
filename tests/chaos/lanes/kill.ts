import { inject } from 'vitest';
import { testCases } from '../chaos-case.ts';
import { KILLS, STOPS } from '../kill-cases.ts';

testCases([...KILLS, ...STOPS], { postgres: () => inject('postgresUrl') });
