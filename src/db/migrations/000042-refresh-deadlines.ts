import { statements } from './statements.ts';

/** Whether the disclosed end of the refresh token is a wall clock: a fact of its refreshes, which a forecast needs. */
export const refreshDeadlines = statements(
  [
    `alter table connection_credentials
      add column if not exists refresh_deadline_fixed boolean not null default false`,
  ],
  ['alter table connection_credentials drop column if exists refresh_deadline_fixed'],
);
