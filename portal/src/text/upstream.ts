import type { Connection, ErrorCode, GatewayStatus } from '../api/wire.ts';
import type { Tone } from '../ui/tone.ts';

export type Standing = { label: string; tone: Tone; sentence: string };

/** Where a code does not speak of the upstream itself, whose fault it is; else where to look first. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  upstream_unreachable:
    'It cannot be reached: check that its server runs, and that the name and the port in the configuration are right.',
  timeout: 'It does not answer in time: check whether its server is overloaded or hangs.',
  upstream_failed: 'It answers, but not as its protocol wants: check the address, and its server’s own log.',
  egress_refused: 'Its address may not be reached from here: correct the address, or what this server allows.',
  discovery_failed: 'The authorization server is at fault, not the upstream: look at OAuth.',
  registration_failed: 'The authorization server is at fault, not the upstream: look at OAuth.',
  token_endpoint_failed: 'The authorization server is at fault, not the upstream: look at OAuth.',
  database_unavailable: 'The database of this platform cannot be reached; the upstream itself may be well.',
  overloaded: 'Too much is asked of it at once.',
  invalid_config: 'Its configuration is not valid: correct it.',
  internal: 'A fault of this server: its log has the details.',
};

const UNAVAILABLE = 'Upstream unavailable';

function unavailable(kind: string, { listed_at, last_error }: GatewayStatus): Standing {
  const advice = (last_error && ADVICE[last_error.code]) ?? 'It failed: the last failure says what to do.';
  if (kind === 'api') return { label: UNAVAILABLE, tone: 'bad', sentence: `${advice} The next call tries it again.` };
  const kept = listed_at
    ? 'What it listed last is still offered.'
    : 'It was never listed, so nothing of it is offered.';
  return { label: UNAVAILABLE, tone: 'bad', sentence: `${advice} It is asked again by itself. ${kept}` };
}

const connected = ({ oauth }: Connection) => !oauth || oauth.state === 'connected';

function needsPerson(connection: Connection): Standing {
  const sentence = connected(connection)
    ? 'Only a person can help: the last failure says how.'
    : 'Nothing can be sent to the upstream until a person has helped: OAuth says how.';
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

const number = new Intl.NumberFormat('en');
const counted = (count: number, one: string, many: string) => `${number.format(count)} ${count === 1 ? one : many}`;

/** «23 tools, 1 prompt, 140 resources and templates»; what there is none of is left out. */
export function offersText({ tools, prompts, resources }: GatewayStatus): string {
  const parts = [
    tools > 0 && counted(tools, 'tool', 'tools'),
    prompts > 0 && counted(prompts, 'prompt', 'prompts'),
    resources > 0 && counted(resources, 'resource or template', 'resources and templates'),
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : 'Nothing that is known';
}

/** How an upstream is, and what to do, as this server has found it since it started. */
export function upstreamStanding(connection: Connection): Standing {
  const { gateway, kind } = connection;
  if (!gateway) return unopened(connection);
  // The row knows that a grant has ended before the next listing meets it.
  if (gateway.state === 'needs_person' || !connected(connection)) return needsPerson(connection);
  if (gateway.state === 'unavailable') return unavailable(kind, gateway);
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

/** What a list of connections must not keep to itself; null where there is nothing, or its other badges say it already. */
export function upstreamAlarm(connection: Connection): Standing | null {
  if (!connection.gateway || !connected(connection)) return null;
  const standing = upstreamStanding(connection);
  return standing.tone === 'bad' || standing.tone === 'warn' ? standing : null;
}
