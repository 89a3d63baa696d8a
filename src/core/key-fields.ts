import { z } from 'zod';
import { REDACTED } from './redact.ts';

/** Text that holds such blocks, or stands for one that is stored; whether they are sound is asked before it is saved. */
const pem = (label: string) =>
  z
    .string()
    .trim()
    .refine(
      (text) =>
        text === REDACTED ||
        text.split('\n').some((line) => line.startsWith('-----BEGIN ') && line.trimEnd().endsWith(`${label}-----`)),
      `must be PEM text, beginning with a line -----BEGIN ${label}-----`,
    );

/** Keys and certificates of a connection, and what belongs to them. */
export const keyFields = {
  oauth2_client_private_key_pem: pem('PRIVATE KEY').optional(),
  oauth2_client_key_id: z.string().trim().min(1, 'must not be empty').optional(),
  tls_ca_bundle_pem: pem('CERTIFICATE').optional(),
  mtls_client_cert_pem: pem('CERTIFICATE').optional(),
  mtls_client_key_pem: pem('PRIVATE KEY').optional(),
} as const;

type KeyConfig = z.infer<z.ZodObject<typeof keyFields>> & {
  oauth2_client_id?: string | undefined;
  oauth2_token_endpoint_auth_method?: string | undefined;
};

/** A client that proves itself by a signature (RFC 7523 §2.2), and a certificate with its key. */
export function checkKeyFields(config: KeyConfig, issue: (path: string, message: string) => void): void {
  const key = config.oauth2_client_private_key_pem;
  if (key && !config.oauth2_client_id) issue('oauth2_client_id', 'is required beside oauth2_client_private_key_pem');
  if (config.oauth2_token_endpoint_auth_method === 'private_key_jwt' && !key) {
    issue('oauth2_client_private_key_pem', 'is required by private_key_jwt');
  }
  if (config.oauth2_client_key_id && !key) {
    issue('oauth2_client_private_key_pem', 'is required beside oauth2_client_key_id');
  }
  if (config.mtls_client_key_pem && !config.mtls_client_cert_pem) {
    issue('mtls_client_cert_pem', 'is required beside mtls_client_key_pem');
  }
  if (config.mtls_client_cert_pem && !config.mtls_client_key_pem) {
    issue('mtls_client_key_pem', 'is required beside mtls_client_cert_pem');
  }
}
