import type { Connection, ErrorCode, GatewayStatus } from '../api/wire.ts';
import type { Tone } from '../ui/tone.ts';

export type Standing = { label: string; tone: Tone; sentence: string };

/** Where a code does not speak of the upstream itself, whose fault it is; else where to look first. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  upstream_unreachable: 'Check that its server runs, and that the name and the port in the configuration are right.',
  timeout: 'It does not answer in time: check whether its server is overloaded or hangs.',
  upstream_failed: 'It answers, but not as its protocol wants: check the address, and its server’s own log.',
  egress_refused: 'Its address may not be reached from here: correct the address, or what this server allows.',
  discovery_failed: 'The authorization server is at fault, not the upstream: look at OAuth.',
  registration_failed: 'The authorization server is at fault, not the upstream: look at OAuth.',
  token_endpoint_failed: 'The authorization server is at fault, not the upstream: look at OAuth.',
  database_unavailable: 'The database of this platform cannot be reached; the upstream itself may be well.',
  overloaded: 'Too much is asked of it at once.',
  invalid_config: 'Correct the configuration.',
  internal: 'A fault of this server: its log has the details.',
};

const UNAVAILABLE = 'Upstream unavailable';

function unavailable(kind: string, { listed_at, last_error }: GatewayStatus): Standing {
  const advice = (last_error && ADVICE[last_error.code]) ?? 'The last failure says what to do.';
  if (kind === 'api') return { label: UNAVAILABLE, tone: 'bad', sentence: `${advice} The next call tries it again.` };
  const kept = listed_at
    ? 'What it listed last is still offered.'
    : 'It was never listed, so nothing of it is offered.';
  return { label: UNAVAILABLE, tone: 'bad', sentence: `${advice} It is asked again by itself. ${kept}` };
}

function needsPerson({ oauth }: Connection): Standing {
  const verb = oauth?.state === 'never_connected' ? 'connect' : 'reconnect';
  const sentence = `Nothing is sent to the upstream until a person helps: ${verb} this connection under OAuth.`;
  return { label: 'Needs a person', tone: 'warn', sentence };
}

function unopened({ issues }: Connection): Standing {
  if (issues.length > 0) {
    const sentence = 'Nothing is sent to it: the stored configuration is not valid. Correct it and save.';
    return { label: 'Not opened', tone: 'bad', sentence };
  }
  const sentence =
    'This server has not opened the connection yet. If that lasts for minutes, look into the server’s log.';
  return { label: 'Not opened yet', tone: 'neutral', sentence };
}

/** The tools of an API are this server's own: that they are listed says nothing about the API. */
const API: Standing = {
  label: 'Asked only by calls',
  tone: 'neutral',
  sentence: 'An API is asked only when it is called, so its calls tell how it is. Test now asks it at once.',
};

/** How an upstream is, and what to do, as this server has found it since it started. */
export function upstreamStanding(connection: Connection): Standing {
  const { gateway, kind } = connection;
  if (!gateway) return unopened(connection);
  if (gateway.state === 'unavailable') return unavailable(kind, gateway);
  if (gateway.state === 'needs_person') return needsPerson(connection);
  if (kind === 'api') return API;
  if (!gateway.listed_at) {
    const sentence = 'What it offers has not been listed yet, so nothing of it is offered. It is being asked.';
    return { label: 'Never listed', tone: 'warn', sentence };
  }
  if (!gateway.last_success_at) {
    const sentence =
      'It has not answered since this server started; it is being asked. What it listed last is offered.';
    return { label: 'Not asked yet', tone: 'neutral', sentence };
  }
  return { label: 'Upstream answers', tone: 'good', sentence: 'It answered when it was last asked. Nothing to do.' };
}

/** What a list of connections must not keep to itself; null where there is nothing, or the OAuth state says it already. */
export function upstreamAlarm(connection: Connection): Standing | null {
  const { gateway, oauth } = connection;
  if (!gateway) return null;
  const connected = !oauth || oauth.state === 'connected';
  if (gateway.state === 'unavailable') return upstreamStanding(connection);
  if (!connected) return null;
  return gateway.state === 'needs_person' || !gateway.listed_at ? upstreamStanding(connection) : null;
}
