import { statements } from './statements.ts';

/** The open intent that a claim took the place of, as JSON: a fact to give back, which no query searches. */
export const takenIntents = statements(
  ['alter table connection_credentials add column if not exists taken_intent jsonb'],
  ['alter table connection_credentials drop column if exists taken_intent'],
);
