import { config } from 'zod';

// zod compiles objects with `new Function` where it may; the page's policy forbids it, and would report the attempt.
// Imported first: a schema decides when it is made.
config({ jitless: true });
