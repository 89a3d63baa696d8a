import type { ConnectionKey, CredentialState, Health, OAuthStatus } from '../api/wire.ts';
import { HEALTH_LABELS } from '../text/labels.ts';
import { localSentence } from '../text/time.ts';
import { Card } from '../ui/card.tsx';
import { TONE_EDGE, type Tone } from '../ui/tone.ts';
import { Findings } from './findings.tsx';
import { OAuthActions } from './oauth-actions.tsx';
import { RevocationFacts } from './revocation-facts.tsx';
import { HealthBadge, StateBadge } from './state-badges.tsx';
import { StatusGrid } from './status-grid.tsx';

const STATE_EDGE: Record<CredentialState, (health: Health) => Tone> = {
  never_connected: () => 'neutral',
  revoked: () => 'bad',
  connected: (health) => HEALTH_LABELS[health].tone,
};

/** The three states of an OAuth connection, its health beside them, and what to do next. */
export function OAuthCard({ connectionKey, status }: { connectionKey: ConnectionKey; status: OAuthStatus }) {
  const tone = STATE_EDGE[status.state](status.health);
  return (
    <Card
      title="OAuth"
      aside={
        <span className="flex flex-wrap gap-1.5">
          <StateBadge state={status.state} />
          {(status.state === 'connected' || status.health !== 'ok') && <HealthBadge health={status.health} />}
        </span>
      }
    >
      <div className="space-y-5">
        <div className={`space-y-1 border-l-3 pl-4 ${TONE_EDGE[tone]}`} aria-live="polite">
          <p className="wrap-anywhere">{localSentence(status.summary)}</p>
          {status.state === 'connected' && (
            <p className="text-sm text-ink-soft wrap-anywhere">{localSentence(status.forecast.sentence)}</p>
          )}
        </div>
        <Findings findings={status.findings} />
        {status.state === 'revoked' && status.last_revocation && (
          <RevocationFacts revocation={status.last_revocation} />
        )}
        {status.state === 'connected' && <StatusGrid status={status} />}
        <OAuthActions connectionKey={connectionKey} status={status} />
      </div>
    </Card>
  );
}
