import type { OAuthGrant } from './connection.ts';
import type { Credential } from './credential.ts';
import { grantOf, idpHostOf } from './credential.ts';
import { GRANT_GRADES, type GrantGrade, gradeGrant } from './grant-grade.ts';
import { configuredMaxLifetime, type ProviderChoice, type ProviderProfile } from './provider-profile.ts';

export const FINDING_CODES = [
  ...GRANT_GRADES,
  'testing_mode_possible',
  'max_lifetime_missing',
  'lifetime_unknown',
  'renewal_unproven',
] as const;
export type FindingCode = (typeof FINDING_CODES)[number];

/** action: a person must do something, or the connection will end; advice: it may be better. */
export const SEVERITIES = ['action', 'advice'] as const;

/** What is worth knowing about a connection that works, before it does not. */
export type Finding = { code: FindingCode; severity: (typeof SEVERITIES)[number]; sentence: string };

type AuditInput = {
  credential: Pick<Credential, 'state' | 'token' | 'binding' | 'next_refresh_reason'>;
  profile: ProviderProfile;
  config: (ProviderChoice & { oauth2_grant?: OAuthGrant | undefined }) | null;
};

function gradeFinding(grade: GrantGrade, profile: ProviderProfile, host: string): Finding {
  switch (grade) {
    case 'no_refresh_token': {
      const { scope_for_refresh_token: scope, gives_refresh_token } = profile;
      const how = scope === null ? 'Ask the provider how an offline grant is requested' : `Add ${scope} to the scope`;
      const sentence = gives_refresh_token
        ? `${host} gave no refresh token, so this connection ends with its access token. ${how}, then reconnect.`
        : `${profile.title} gives no refresh tokens: reconnect before the access token ends.`;
      return { code: grade, severity: 'action', sentence };
    }
    case 'session_bound': {
      const scope = profile.session_bound_without_scope ?? '';
      const sentence = `The grant was given without ${scope}, so it ends with the sign-in session at ${host}. Add ${scope} to oauth2_scope and reconnect.`;
      return { code: grade, severity: 'action', sentence };
    }
    case 'testing_mode': {
      const sentence = `The consent screen at ${host} seems to be in testing, where grants end after some days. Publish it, then reconnect.`;
      return { code: grade, severity: 'action', sentence };
    }
    case 'short_refresh_token': {
      const sentence = `The refresh token of ${host} ends before the access token does; it is used in time, but lengthening its lifetime there is better.`;
      return { code: grade, severity: 'advice', sentence };
    }
  }
}

function maxLifetime({ profile, config }: AuditInput): Finding[] {
  const { max_lifetime_need: need, refresh_idle_lifetime: documented, title } = profile;
  if (need === 'optional' || configuredMaxLifetime(config) !== null) return [];
  const days = documented === null ? null : Math.round(documented / 86_400_000);
  const meanwhile = days === null ? 'none is assumed' : `the ${days} days that are known of it are assumed`;
  const sentence = `${title} ${need === 'required' ? 'needs' : 'should have'} oauth2_refresh_max_lifetime, and none is set; until then ${meanwhile}.`;
  return [{ code: 'max_lifetime_missing', severity: need === 'required' ? 'action' : 'advice', sentence }];
}

/** What a person should know about one connection, from its row, profile and configuration; the worst first. */
export function auditConnection(input: AuditInput): Finding[] {
  const { credential, profile, config } = input;
  const { token } = credential;
  if (grantOf(config, credential.binding) === 'client_credentials') return [];
  if (credential.state !== 'connected' || !token) return maxLifetime(input);
  const host = idpHostOf(credential.binding) ?? 'the identity provider';
  const grades = gradeGrant(token, profile);
  const findings = grades.map((grade) => gradeFinding(grade, profile, host));
  if (!token.has_refresh_token) return findings;
  findings.push(...maxLifetime(input));
  if (profile.testing_mode_lifetime !== null && !grades.includes('testing_mode')) {
    const days = Math.round(profile.testing_mode_lifetime / 86_400_000);
    const sentence = `If the consent screen at ${host} is still in testing, its grants end after ${days} days without a word: see that it is published.`;
    findings.push({ code: 'testing_mode_possible', severity: 'advice', sentence });
  }
  const silent = token.expires_at === null && token.refresh_expires_at === null;
  if (silent && configuredMaxLifetime(config) === null && profile.refresh_idle_lifetime === null) {
    const sentence = `Nothing tells how long tokens of ${host} live, so none is refreshed ahead. Set oauth2_refresh_max_lifetime if its refresh tokens have a limit.`;
    findings.push({ code: 'lifetime_unknown', severity: 'advice', sentence });
  }
  if (token.last_refreshed_at === null && credential.next_refresh_reason !== 'canary') {
    const sentence = 'It has not been refreshed yet, so nothing has proved that it can be.';
    findings.push({ code: 'renewal_unproven', severity: 'advice', sentence });
  }
  return findings.sort((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity));
}
