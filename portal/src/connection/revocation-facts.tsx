import type { OAuthStatus } from '../api/wire.ts';
import { DECIDER_WORDS, REVOCATION_WORDS } from '../text/labels.ts';
import { Notice } from '../ui/notice.tsx';
import { Time } from '../ui/time.tsx';

type Revocation = NonNullable<OAuthStatus['last_revocation']>;

/** Host, time and reason of the end of a connection, and whose decision it was. */
export function RevocationFacts({ revocation }: { revocation: Revocation }) {
  const host = revocation.idp_host ?? 'the identity provider';
  const words = DECIDER_WORDS[revocation.decided_by];
  return (
    <Notice tone={revocation.decided_by === 'person' ? 'neutral' : 'bad'} title={words.title(host)}>
      <p>{words.explanation(host)}</p>
      <dl className="mt-3 grid grid-cols-[auto_minmax(0,1fr)] gap-x-4 gap-y-1">
        <dt className="text-ink-soft">Identity provider</dt>
        <dd>{revocation.idp_host ?? 'Not recorded'}</dd>
        <dt className="text-ink-soft">When</dt>
        <dd>
          <Time iso={revocation.occurred_at} />
        </dd>
        <dt className="text-ink-soft">Reason</dt>
        <dd>
          <code className="font-mono text-[0.8125rem]">{revocation.reason}</code>: {REVOCATION_WORDS[revocation.reason]}
        </dd>
      </dl>
    </Notice>
  );
}
