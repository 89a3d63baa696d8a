import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { CALL_OUTCOMES } from './core/call-record.ts';
import { connectionLabel } from './core/connection.ts';
import type { Metrics, MetricsSample } from './core/ports.ts';

const PREFIX = 'mcp_data_platform_';
/** From what a call costs in this process to the longest that a caller waits. */
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const NONE = 'none';

export type PrometheusMetrics = Metrics & {
  /** The text that Prometheus reads. */
  render(sample: MetricsSample): Promise<{ content_type: string; text: string }>;
};

function gauges(register: Registry) {
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Gauge({ name: PREFIX + name, help, labelNames, registers: [register] });
  return {
    inFlight: gauge('calls_in_flight', 'Calls under way.', ['connection']),
    database: gauge('database_up', '1 when the database answered this scrape.'),
    connections: gauge('connections', 'Connections by kind, state and health; none: without OAuth.', [
      'kind',
      'state',
      'health',
    ]),
    lag: gauge('refresh_lag_seconds', 'How long the refresh that is due the longest has waited.'),
    refreshing: gauge('refreshes_in_flight', 'Refreshes under way in this process.'),
  };
}

function counters(register: Registry) {
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Counter({ name: PREFIX + name, help, labelNames, registers: [register] });
  return {
    calls: counter('calls_total', `Calls that ended, by outcome (${CALL_OUTCOMES.join(', ')}).`, [
      'connection',
      'outcome',
    ]),
    lost: counter('call_records_lost_total', 'Calls of which no record could be kept.'),
    tokens: counter('token_events_total', 'Committed changes of tokens, by the event of the history.', [
      'connection',
      'event',
    ]),
    duration: new Histogram({
      name: `${PREFIX}call_duration_seconds`,
      help: 'From the arrival of a call to its last byte.',
      labelNames: ['connection'],
      buckets: DURATION_BUCKETS,
      registers: [register],
    }),
  };
}

/** Everything that is counted in this process, in a registry of its own. */
export function createMetrics(): PrometheusMetrics {
  const register = new Registry();
  collectDefaultMetrics({ register });
  const { inFlight, database, connections, lag, refreshing } = gauges(register);
  const { calls, lost, tokens, duration } = counters(register);

  function take(sample: MetricsSample): void {
    const { connections: found, refresh_lag_seconds } = sample;
    database.set(found === null ? 0 : 1);
    refreshing.set(sample.refreshes_in_flight);
    connections.reset();
    for (const { kind, state, health, valid } of found ?? []) {
      connections.inc({ kind, state: state ?? NONE, health: valid ? (health ?? NONE) : 'configuration_invalid' });
    }
    if (refresh_lag_seconds === null) lag.remove();
    else lag.set(refresh_lag_seconds);
  }

  return {
    callBegan: (key) => inFlight.inc({ connection: connectionLabel(key) }),
    callEnded(key, outcome, duration_ms) {
      const connection = connectionLabel(key);
      inFlight.dec({ connection });
      calls.inc({ connection, outcome });
      duration.observe({ connection }, duration_ms / 1_000);
    },
    callsLost: (count) => lost.inc(count),
    tokenChanged: (key, event) => tokens.inc({ connection: connectionLabel(key), event }),
    async render(sample) {
      take(sample);
      return { content_type: register.contentType, text: await register.metrics() };
    },
  };
}
