import type { INCIDENT_MARKS } from '../core/auth-event.ts';
import { connectionLabel } from '../core/connection.ts';
import { type Credential, idpHostOf } from '../core/credential.ts';
import { type Hold, type IssuerFacts, opensIncident, tellsOfIssuer, weighVerdict } from '../core/issuer-incident.ts';
import type { RefreshOutcome } from '../core/refresh-outcome.ts';
import type { Context } from './settle-schedule.ts';

/** What an outcome means beside the other connections of its authorization server. */
export type Weighed = {
  /** The refusal is not believed yet, and the token is kept. */
  hold: Hold;
  incident: (typeof INCIDENT_MARKS)[number] | null;
};

type Known = { facts: IssuerFacts; incident: Weighed['incident'] };

const ALONE: Weighed = { hold: null, incident: null };

/** A refresh has succeeded: whatever was open at its server ends, unless the answer is older than that. */
async function succeeded({ deps, entry }: Context, credential: Credential, idp_host: string): Promise<Weighed> {
  const { incident } = credential;
  if (!incident || entry.sent_at < incident.opened_at) return ALONE;
  const closed = await deps.incidents.close(idp_host, deps.clock.now());
  if (!closed) return ALONE;
  const { opened_at, connections, spread_ms } = closed;
  deps.log.info('the authorization server answers again: the incident is over, and what waited is spread out', {
    idp_host,
    connections,
    spread_ms,
    lasted_ms: deps.clock.now() - opened_at,
  });
  return { hold: null, incident: 'closed' };
}

/** Opens an incident with this failure, if it is the third. */
async function opened({ deps }: Context, facts: IssuerFacts, idp_host: string): Promise<Known> {
  const now = deps.clock.now();
  const incident = { opened_at: now, probe_at: now + deps.settings.incident_probe };
  const first = await deps.incidents.open(idp_host, incident);
  if (first) {
    deps.log.warn(
      'many connections fail at one authorization server: this is one incident; refused tokens are kept, and one connection asks at a time',
      { idp_host, connections: facts.failing + 1 },
    );
  }
  return { facts: { ...facts, incident }, incident: first ? 'opened' : 'open' };
}

/**
 * Looks at an outcome beside the others of its authorization server, before it is settled: many failures there are one
 * incident, during which no refusal is final. It writes nothing of the token, so that a repetition does no harm.
 */
export async function weigh(context: Context, outcome: RefreshOutcome, credential: Credential): Promise<Weighed> {
  const { deps, entry } = context;
  const { clock, settings, incidents, log } = deps;
  const idp_host = idpHostOf(entry.binding);
  // A consent proves nothing about the tokens given before it.
  if (idp_host === null || entry.purpose === 'connect') return ALONE;
  if (outcome.type === 'success') return succeeded(context, credential, idp_host);
  // What the fence will refuse anyway says nothing any more.
  if (credential.state !== 'connected' || credential.generation !== entry.parent_generation) return ALONE;
  const now = clock.now();
  const found = await incidents.facts(entry.key, idp_host, now - settings.incident_window);
  const opens = tellsOfIssuer(outcome) && opensIncident(found);
  const known: Known = opens
    ? await opened(context, found, idp_host)
    : { facts: found, incident: found.incident && 'open' };
  const { facts, incident } = known;
  if (outcome.type !== 'revoked') return { hold: null, incident };
  const hold = weighVerdict(facts, credential.failure, { now, presented: entry.sent_at }, settings);
  if (hold?.why === 'confirmation') {
    const asked = await incidents.askAnother(entry.key, idp_host, now);
    log.info('a refused refresh token is kept until another connection of the same server has been asked', {
      connection: connectionLabel(entry.key),
      idp_host,
      ...(asked ? { asked: connectionLabel(asked) } : {}),
    });
  }
  return { hold, incident };
}
