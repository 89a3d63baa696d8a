import type { Connection, GatewayStatus } from '../api/wire.ts';
import { localSentence } from '../text/time.ts';
import { offersText, upstreamStanding } from '../text/upstream.ts';
import { Card } from '../ui/card.tsx';
import { Fact, Facts, Soft, TimeOr } from '../ui/facts.tsx';
import { Time } from '../ui/time.tsx';
import { TONE_EDGE } from '../ui/tone.ts';
import { UpstreamBadge } from './state-badges.tsx';

const SINCE_START = 'None since this server started';

function LastFailure({ failure }: { failure: GatewayStatus['last_error'] }) {
  return (
    <Fact term="Last failure" wide>
      {failure ? (
        <>
          <Time iso={failure.at} />
          <span className="block">{localSentence(failure.message)}</span>
        </>
      ) : (
        <Soft>{SINCE_START}</Soft>
      )}
    </Fact>
  );
}

/** An API's tools are listed without asking it: no success, and no news of it. */
function UpstreamFacts({ gateway, asked }: { gateway: GatewayStatus; asked: boolean }) {
  return (
    <Facts>
      {asked && (
        <>
          <Fact term="Last success">
            <TimeOr iso={gateway.last_success_at} otherwise={SINCE_START} />
          </Fact>
          <Fact term="Last listed">
            <TimeOr iso={gateway.listed_at} otherwise="Never" />
          </Fact>
        </>
      )}
      <Fact term="Offers">{offersText(gateway)}</Fact>
      <LastFailure failure={gateway.last_error} />
    </Facts>
  );
}

/** How the server behind a connection is: apart from its OAuth state, which may be well while that is down. */
export function UpstreamCard({ connection }: { connection: Connection }) {
  const { gateway, kind } = connection;
  const standing = upstreamStanding(connection);
  return (
    <Card title="Upstream" aside={<UpstreamBadge standing={standing} />}>
      <div className="space-y-5">
        <div className={`border-l-3 pl-4 ${TONE_EDGE[standing.tone]}`} aria-live="polite">
          <p className="wrap-anywhere">{standing.sentence}</p>
        </div>
        {gateway && <UpstreamFacts gateway={gateway} asked={kind !== 'api'} />}
      </div>
    </Card>
  );
}
