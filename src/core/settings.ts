/** What the token protocol runs by. Milliseconds. Shortened in tests and the demo, never hard-coded elsewhere. */
export type ProtocolSettings = {
  /** How often the loop looks, at the latest. */
  refresh_interval: number;
  /** Refresh an access token this long before it expires, at most half of its lifetime. */
  access_lead: number;
  /** Refresh this long before the disclosed or configured end of the refresh token, at most half of its lifetime. */
  refresh_lead: number;
  /** How long a caller waits for the token endpoint before the outcome counts as unknown. */
  token_deadline: number;
  /** How long an attempt listens on for a late reply (rule 9). */
  late_listening: number;
  /** How old the sender's claim may be when it sends (rule 7). */
  send_window: number;
  /** Nobody presents again over an intent younger than this (rule 7). */
  lease: number;
  /** The same while the boot that made it may still be listening (rules 7, 9). */
  listening_lease: number;
  /** After this long unseen, another replica may resolve the intent of a replica that is gone (rule 15d). */
  owner_wait: number;
  /** First and longest pause between attempts after transient failures. */
  backoff_min: number;
  backoff_max: number;
  /** The pause after a failure that only a changed configuration heals. */
  misconfigured_backoff: number;
  /** Failures at one authorization server that lie further back make no incident. */
  incident_window: number;
  /** So long at most a refusal is held during an incident, before it is believed. */
  incident_hold: number;
  /** How often one connection asks while an incident is open. */
  incident_probe: number;
  /** The pause before a refused token is presented once more, while another connection is asked. */
  verdict_confirmation: number;
  /** Attempts at once against one authorization server's host. */
  per_host: number;
  /** Attempts at once in this process. */
  in_flight: number;
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

export const DEFAULT_PROTOCOL_SETTINGS: ProtocolSettings = {
  refresh_interval: 5 * MINUTE,
  access_lead: 5 * MINUTE,
  refresh_lead: 60 * MINUTE,
  token_deadline: 30 * SECOND,
  late_listening: 5 * MINUTE,
  send_window: 5 * SECOND,
  lease: 90 * SECOND,
  listening_lease: 7 * MINUTE,
  owner_wait: 15 * MINUTE,
  backoff_min: 10 * SECOND,
  backoff_max: 15 * MINUTE,
  misconfigured_backoff: 15 * MINUTE,
  incident_window: 20 * MINUTE,
  incident_hold: 30 * MINUTE,
  incident_probe: 60 * SECOND,
  verdict_confirmation: 5 * SECOND,
  per_host: 8,
  in_flight: 128,
};
