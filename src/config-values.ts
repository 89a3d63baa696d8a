import { z } from 'zod';
import { accessPatternSchema } from './core/access-rule.ts';
import { CONNECTION_KIND, CONNECTION_NAME } from './core/connection.ts';
import { parseDuration } from './core/duration.ts';

/** In a file with `${VAR}` every value is a text. */
export const yesOrNo = z.preprocess(
  (value) => (value === 'true' ? true : value === 'false' ? false : value),
  z.boolean('must be true or false'),
);

export const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms === undefined) context.addIssue({ code: 'custom', message: 'must be a duration such as 90d, 5m or 30s' });
      return ms ?? 0;
    });

export const httpUrl = z.string().refine((text) => {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, pathname, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && pathname === '/' && `${username}${password}${search}${hash}` === '';
}, 'must be an absolute http or https URL of host and port alone, such as https://mcp.example.com');

export const address = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    context.addIssue({ code: 'custom', message: 'must be host:port, such as 127.0.0.1:8080 or :8080' });
  }
  return { host: match?.[1] ?? (match?.[2] || '0.0.0.0'), port };
});

export const apiKey = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'must be 1 to 63 letters, digits, dots, hyphens'),
  key: z.string().min(24, 'must be at least 24 characters: a key is a password that nobody types'),
  role: z.enum(['admin', 'agent']).default('agent'),
  allow: z.array(accessPatternSchema).optional(),
  deny: z.array(accessPatternSchema).default([]),
});

export const declaredConnection = z.strictObject({
  kind: z.string().regex(CONNECTION_KIND, 'is not a kind'),
  name: z.string().regex(CONNECTION_NAME, 'must be lower-case letters, digits and hyphens'),
  description: z.string().default(''),
  config: z.record(z.string(), z.unknown()),
});
