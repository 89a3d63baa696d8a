import type { OAuthStatus } from '../api/wire.ts';
import { now } from '../clock.ts';
import { RENEWAL_WORDS, refreshReasonWords } from '../text/labels.ts';
import { Fact, Facts, Soft, TimeOr } from '../ui/facts.tsx';
import { Time } from '../ui/time.tsx';

const hasEnded = (iso: string | null) => iso !== null && Date.parse(iso) <= now();

function refreshExpiry(status: OAuthStatus): string {
  return status.has_refresh_token ? 'Not disclosed by the provider' : 'Not applicable';
}

function refreshTokenWords({ grant, has_refresh_token }: OAuthStatus): string {
  if (grant === 'client_credentials') return 'Not needed: the client secret renews it';
  return has_refresh_token ? 'Present' : 'None was given';
}

function ScopeCell({ scope }: { scope: string | null }) {
  const scopes = scope?.split(/\s+/).filter(Boolean) ?? [];
  return (
    <Fact term="Scope" wide>
      {scopes.length === 0 ? (
        <Soft>Not named by the provider</Soft>
      ) : (
        <ul className="flex flex-wrap gap-1.5">
          {scopes.map((scope) => (
            <li key={scope} className="rounded-md border border-line bg-sunken px-2 py-0.5 font-mono text-[0.8125rem]">
              {scope}
            </li>
          ))}
        </ul>
      )}
    </Fact>
  );
}

/** What is known of a connected OAuth connection, all of it from its row. */
export function StatusGrid({ status }: { status: OAuthStatus }) {
  return (
    <Facts>
      <Fact term="Access token">{hasEnded(status.expires_at) ? 'Present, expired' : 'Present'}</Fact>
      <Fact term="Access token expires">
        <TimeOr iso={status.expires_at} otherwise="The provider named no end" />
      </Fact>
      <Fact term="Last refreshed">
        <TimeOr iso={status.last_refreshed_at} otherwise="Not yet" />
      </Fact>
      <Fact term="Refresh token">{refreshTokenWords(status)}</Fact>
      <Fact term="Refresh token expires">
        <TimeOr iso={status.refresh_expires_at} otherwise={refreshExpiry(status)} />
      </Fact>
      <Fact term="Next refresh">
        <TimeOr iso={status.next_refresh_at} otherwise="None planned" />
        {status.next_refresh_at && status.next_refresh_reason && (
          <Soft> {refreshReasonWords(status.next_refresh_reason)}</Soft>
        )}
      </Fact>
      <Fact term="Lives without a person until">
        <TimeOr iso={status.forecast.lives_until} otherwise="No end is known" />
      </Fact>
      <Fact term="Renewal">{RENEWAL_WORDS[status.renewal]}</Fact>
      <Fact term="Authorised by">
        {status.authenticated_by ?? <Soft>Not recorded</Soft>}
        {status.authenticated_at && (
          <Soft>
            , <Time iso={status.authenticated_at} />
          </Soft>
        )}
      </Fact>
      <Fact term="Identity provider">
        {status.idp_host ?? <Soft>Not recorded</Soft>}
        {status.provider.source !== 'default' && <Soft> ({status.provider.title})</Soft>}
      </Fact>
      {status.failing_since && (
        <Fact term="Refreshing fails since">
          <Time iso={status.failing_since} />
          {status.last_error && (
            <>
              {' '}
              <code className="font-mono text-[0.8125rem]">{status.last_error}</code>
            </>
          )}
        </Fact>
      )}
      <ScopeCell scope={status.scope} />
    </Facts>
  );
}
