import { z } from 'zod';
import { absoluteUrl, checkSharedConfig, sharedConfigShape } from './connection.ts';

export const DEFAULT_MAX_RESPONSE_BYTES = 10_485_760;
const MAX_RESPONSE_BYTES = 67_108_864;
/** Characters of an inline description: what a parser reads without holding up everybody else for long. */
const MAX_OPENAPI_SPEC = 33_554_432;

const baseUrl = absoluteUrl
  .refine((text) => !text.includes('?'), 'must not carry a query (?…); a call has its own')
  .transform((text) => text.replace(/\/+$/, ''));

function checkDescription(config: { base_url: string; openapi_spec?: string; openapi_url?: string }) {
  const { base_url, openapi_spec, openapi_url } = config;
  if (openapi_url === undefined) return undefined;
  if (openapi_spec !== undefined) return 'must be left out beside openapi_spec: only one of them is read';
  if (!URL.canParse(base_url) || !URL.canParse(openapi_url)) return undefined;
  return new URL(base_url).origin === new URL(openapi_url).origin
    ? undefined
    : 'must have the origin of base_url, because the credential is sent along; put a description from elsewhere into openapi_spec';
}

/** The configuration of a connection of kind `api`. */
export const apiConfigSchema = z
  .strictObject({
    base_url: baseUrl,
    openapi_spec: z.string().min(1).max(MAX_OPENAPI_SPEC, 'is longer than 32 Mi characters').optional(),
    openapi_url: absoluteUrl.optional(),
    max_response_bytes: z.number().int().min(1_024).max(MAX_RESPONSE_BYTES).default(DEFAULT_MAX_RESPONSE_BYTES),
    ...sharedConfigShape,
  })
  .superRefine((config, context) => {
    checkSharedConfig(config, context);
    const message = checkDescription(config);
    if (message) context.addIssue({ code: 'custom', path: ['openapi_url'], message });
  });

export type ApiConfig = z.infer<typeof apiConfigSchema>;
