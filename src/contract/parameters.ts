import { z } from 'zod';
import { CONNECTION_KIND, connectionNameSchema } from '../core/connection.ts';

export const connectionParamsSchema = z.strictObject({
  kind: z
    .string()
    .regex(
      CONNECTION_KIND,
      'must be 1 to 31 characters: lower-case letters, digits and hyphens, beginning with a letter',
    ),
  name: connectionNameSchema,
});

const LIMIT_RULE = 'must be a whole number from 1 to 500';

/** How many of a list a page holds. */
export const pageLimit = z.coerce
  .number<number | string>(LIMIT_RULE)
  .int(LIMIT_RULE)
  .min(1, LIMIT_RULE)
  .max(500, LIMIT_RULE)
  .default(30);
