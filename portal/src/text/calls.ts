import { CALL_OUTCOMES, type CallList, type CallOutcome, type CallRecord } from '../api/wire.ts';
import type { Tone } from '../ui/tone.ts';
import { absoluteTime, durationText } from './time.ts';

export const OUTCOME_LABELS: Record<CallOutcome, { label: string; tone: Tone; meaning: string }> = {
  ok: { label: 'Answered', tone: 'good', meaning: 'The upstream answered.' },
  tool_error: { label: 'The tool failed', tone: 'warn', meaning: 'The tool itself says that it failed.' },
  upstream_error: {
    label: 'Error of the upstream',
    tone: 'bad',
    meaning: 'The upstream answered with an error, or not as its protocol wants.',
  },
  input_required: {
    label: 'Input asked for',
    tone: 'info',
    meaning: 'The upstream wants the input of the client first; the repeated call has a record of its own.',
  },
  needs_person: { label: 'Needs a person', tone: 'warn', meaning: 'A person must connect the connection first.' },
  unavailable: {
    label: 'Not reached',
    tone: 'bad',
    meaning: 'The upstream, its authorization server or the database was not reached.',
  },
  timeout: {
    label: 'No answer in time',
    tone: 'bad',
    meaning: 'Whether the call took effect is not known.',
  },
  cancelled: { label: 'Given up by the caller', tone: 'neutral', meaning: 'The caller went away.' },
  refused: { label: 'Refused, not sent', tone: 'warn', meaning: 'It was not allowed, not valid or too large.' },
  internal: { label: 'Fault of this server', tone: 'bad', meaning: 'The server’s log has the details.' },
};

const FINE: readonly CallOutcome[] = ['ok', 'input_required', 'cancelled'];

type OutcomeChoice = { label: string; outcomes: readonly CallOutcome[] };

function oneOutcome(outcome: CallOutcome): [string, OutcomeChoice] {
  return [outcome, { label: OUTCOME_LABELS[outcome].label, outcomes: [outcome] }];
}

/** What a list of calls may be narrowed to, `all` first. */
export const OUTCOME_CHOICES: ReadonlyMap<string, OutcomeChoice> = new Map<string, OutcomeChoice>([
  ['all', { label: 'Every outcome', outcomes: [] }],
  ['failed', { label: 'Every failure', outcomes: CALL_OUTCOMES.filter((outcome) => !FINE.includes(outcome)) }],
  ...CALL_OUTCOMES.map(oneOutcome),
]);

/** A tool by its name; another request by its method. */
export function callTitle({ tool, operation, method, era }: CallRecord): string {
  if (tool !== null) return operation === null ? tool : `${tool} · ${operation}`;
  if (operation !== null) return `${method} ${operation}`;
  return era === 'http' ? `${method} over plain HTTP` : method;
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB'] as const;

/** «812 B», «1.2 KiB», «34 MiB». */
export function sizeText(bytes: number): string {
  let size = bytes;
  let step = 0;
  while (Math.round(size) >= 1024 && step < SIZES.length - 1) {
    size /= 1024;
    step += 1;
  }
  return `${step === 0 || size >= 10 ? Math.round(size) : size.toFixed(1)} ${SIZES[step]}`;
}

/** «14 ms · 812 B sent · 1.2 KiB received»; a size that was not measured is left out. */
export function callMeasures({ duration_ms, request_bytes, response_bytes }: CallRecord): string {
  return [
    durationText(duration_ms),
    request_bytes !== null && `${sizeText(request_bytes)} sent`,
    response_bytes !== null && `${sizeText(response_bytes)} received`,
  ]
    .filter(Boolean)
    .join(' · ');
}

const count = new Intl.NumberFormat('en');

/** Losses are counted without a connection, so they are told of all together. */
export function notRecordedText({ since, until }: NonNullable<CallList['not_recorded']>): string {
  return `No record could be kept of them, on all connections together, between ${absoluteTime(since)} and ${absoluteTime(until)}. Some may belong to this one.`;
}

export function notRecordedTitle({ calls }: NonNullable<CallList['not_recorded']>): string {
  return `Not recorded: ${count.format(calls)} ${calls === 1 ? 'call' : 'calls'}`;
}
