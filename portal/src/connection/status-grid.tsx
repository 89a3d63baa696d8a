import type { ReactNode } from 'react';
import type { OAuthStatus } from '../api/wire.ts';
import { now } from '../clock.ts';
import { RENEWAL_WORDS, refreshReasonWords } from '../text/labels.ts';
import { Time } from '../ui/time.tsx';

function Cell({ term, children, wide = false }: { term: string; children: ReactNode; wide?: boolean }) {
  return (
    <div className={`min-w-0 border-t border-line pt-3 ${wide ? 'col-span-2 lg:col-span-3' : ''}`}>
      <dt className="text-[0.8125rem] text-ink-soft">{term}</dt>
      <dd className="mt-0.5 text-sm wrap-anywhere">{children}</dd>
    </div>
  );
}

const Soft = ({ children }: { children: ReactNode }) => <span className="text-ink-soft">{children}</span>;

function TimeOr({ iso, otherwise }: { iso: string | null; otherwise: string }) {
  return iso === null ? <Soft>{otherwise}</Soft> : <Time iso={iso} />;
}

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
    <Cell term="Scope" wide>
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
    </Cell>
  );
}

/** What is known of a connected OAuth connection, all of it from its row. */
export function StatusGrid({ status }: { status: OAuthStatus }) {
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-3.5 lg:grid-cols-3">
      <Cell term="Access token">{hasEnded(status.expires_at) ? 'Present, expired' : 'Present'}</Cell>
      <Cell term="Access token expires">
        <TimeOr iso={status.expires_at} otherwise="The provider named no end" />
      </Cell>
      <Cell term="Last refreshed">
        <TimeOr iso={status.last_refreshed_at} otherwise="Not yet" />
      </Cell>
      <Cell term="Refresh token">{refreshTokenWords(status)}</Cell>
      <Cell term="Refresh token expires">
        <TimeOr iso={status.refresh_expires_at} otherwise={refreshExpiry(status)} />
      </Cell>
      <Cell term="Next refresh">
        <TimeOr iso={status.next_refresh_at} otherwise="None planned" />
        {status.next_refresh_at && status.next_refresh_reason && (
          <Soft> {refreshReasonWords(status.next_refresh_reason)}</Soft>
        )}
      </Cell>
      <Cell term="Lives without a person until">
        <TimeOr iso={status.forecast.lives_until} otherwise="No end is known" />
      </Cell>
      <Cell term="Renewal">{RENEWAL_WORDS[status.renewal]}</Cell>
      <Cell term="Authorised by">
        {status.authenticated_by ?? <Soft>Not recorded</Soft>}
        {status.authenticated_at && (
          <Soft>
            , <Time iso={status.authenticated_at} />
          </Soft>
        )}
      </Cell>
      <Cell term="Identity provider">
        {status.idp_host ?? <Soft>Not recorded</Soft>}
        {status.provider.source !== 'default' && <Soft> ({status.provider.title})</Soft>}
      </Cell>
      {status.failing_since && (
        <Cell term="Refreshing fails since">
          <Time iso={status.failing_since} />
          {status.last_error && (
            <>
              {' '}
              <code className="font-mono text-[0.8125rem]">{status.last_error}</code>
            </>
          )}
        </Cell>
      )}
      <ScopeCell scope={status.scope} />
    </dl>
  );
}
