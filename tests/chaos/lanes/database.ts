import { afterAll } from 'vitest';
import { startCrashingPostgres } from '../../tools/postgres.mjs';
import { testCases } from '../chaos-case.ts';
import { crashes, OUTAGES } from '../database-cases.ts';

// Its own: the server of the other lanes must not be ended under them.
const server = await startCrashingPostgres();
afterAll(() => server.stop());

testCases([...OUTAGES, ...crashes(server)], { postgres: () => server.url });
