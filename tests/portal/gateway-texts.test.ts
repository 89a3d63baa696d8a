import { describe, expect, it } from 'vitest';
import {
  callMeasures,
  callTitle,
  notRecordedText,
  notRecordedTitle,
  OUTCOME_CHOICES,
  OUTCOME_LABELS,
  sizeText,
} from '../../portal/src/text/calls.ts';
import { toolChangeText } from '../../portal/src/text/tool-changes.ts';
import { offersText, upstreamAlarm, upstreamStanding } from '../../portal/src/text/upstream.ts';
import { CALL_OUTCOMES, ERROR_TABLE, type ErrorCode } from '../../src/contract/schemas.ts';
import { TOOL_PARTS } from '../../src/core/tool-change.ts';
import {
  answering,
  calls,
  connection,
  down,
  NEVER_LISTED,
  neverConnectedStatus,
  revokedStatus,
} from '../browser/fixtures.ts';

const withoutSignIn = { oauth: null, config: { endpoint: 'https://x.example/mcp', auth_mode: 'none' } };

describe('the words on an upstream', () => {
  it('say that it answers only where it has answered', () => {
    const label = (over: Parameters<typeof answering>[0]) =>
      upstreamStanding(connection('x', { gateway: answering(over) })).label;
    expect(label({})).toBe('Upstream answers');
    expect(label({ last_success_at: null })).toBe('Not asked yet');
    expect(label(NEVER_LISTED)).toBe('Never listed');
  });

  it('say what to do, and what is offered meanwhile, for every failure', () => {
    for (const code of Object.keys(ERROR_TABLE) as ErrorCode[]) {
      const last_error = { code, message: 'It failed.', at: '2026-11-23T12:00:00.000Z' };
      const { sentence, tone } = upstreamStanding(connection('x', { gateway: down('x', { last_error }) }));
      expect(tone).toBe('bad');
      expect(sentence).toMatch(/\. It is asked again by itself\. What it listed last is still offered\.$/);
    }
    const never = upstreamStanding(connection('x', { gateway: down('x', NEVER_LISTED) }));
    expect(never.sentence).toMatch(/never listed, so nothing of it is offered\.$/);
  });

  it('do not put the fault of the authorization server or of this platform on the upstream', () => {
    const sentence = (code: ErrorCode) => {
      const last_error = { code, message: 'It failed.', at: '2026-11-23T12:00:00.000Z' };
      return upstreamStanding(connection('x', { gateway: down('x', { last_error }) })).sentence;
    };
    expect(sentence('token_endpoint_failed')).toContain('not the upstream');
    expect(sentence('database_unavailable')).toContain('the upstream itself may be well');
  });

  it('claim nothing of an API that is asked only when it is called', () => {
    const api = (gateway: ReturnType<typeof answering>) => connection('x', { kind: 'api', ...withoutSignIn, gateway });
    expect(upstreamStanding(api(answering())).label).toBe('Asked only by calls');
    expect(upstreamStanding(api(down('x'))).sentence).toMatch(/The next call tries it again\.$/);
  });

  it('tell a configuration that is not valid from a connection that is not opened yet', () => {
    const issues = [{ path: 'endpoint', message: 'must be a URL' }];
    expect(upstreamStanding(connection('x', { gateway: null, issues })).label).toBe('Not opened');
    expect(upstreamStanding(connection('x', { gateway: null })).label).toBe('Not opened yet');
  });

  it('do not say that all is well where the grant has ended, though nothing has met that yet', () => {
    const { label, sentence } = upstreamStanding(connection('x', { oauth: revokedStatus('idp') }));
    expect(label).toBe('Needs a person');
    expect(sentence).toContain('OAuth says how');
  });

  it('count what it offers', () => {
    const text = (tools: number, prompts: number, resources: number) =>
      offersText(answering({ tools, prompts, resources }));
    expect(text(5_000, 1, 140)).toBe('5,000 tools, 1 prompt, 140 resources and templates');
    expect(text(1, 0, 1)).toBe('1 tool, 1 resource or template');
    expect(text(0, 0, 0)).toBe('Nothing that is known');
  });

  it('raise no alarm where all is well, or where the OAuth state says it already', () => {
    const needing = answering({ ...NEVER_LISTED, state: 'needs_person' });
    const alarm = (over: Parameters<typeof connection>[1]) => upstreamAlarm(connection('x', over))?.label ?? null;
    expect(alarm({})).toBeNull();
    expect(alarm({ gateway: null })).toBeNull();
    expect(alarm({ oauth: neverConnectedStatus(), gateway: needing })).toBeNull();
    expect(alarm({ gateway: needing })).toBe('Needs a person');
    expect(alarm({ gateway: down('x') })).toBe('Upstream unavailable');
    expect(alarm({ ...withoutSignIn, gateway: answering(NEVER_LISTED) })).toBe('Never listed');
  });
});

describe('the words on calls', () => {
  const [call] = calls('x', 1);
  if (!call) throw new Error('no call');

  it('tell each outcome apart', () => {
    const labels = CALL_OUTCOMES.map((outcome) => OUTCOME_LABELS[outcome].label);
    expect(new Set(labels).size).toBe(CALL_OUTCOMES.length);
  });

  it('narrow to one outcome, or to all that failed', () => {
    expect(OUTCOME_CHOICES.get('all')?.outcomes).toEqual([]);
    expect(OUTCOME_CHOICES.get('timeout')?.outcomes).toEqual(['timeout']);
    const failed = OUTCOME_CHOICES.get('failed')?.outcomes;
    expect(failed).toContain('tool_error');
    for (const fine of ['ok', 'input_required', 'cancelled']) expect(failed).not.toContain(fine);
  });

  it('name the tool, the operation behind it, or the method', () => {
    expect(callTitle(call)).toBe('list_issues');
    expect(callTitle({ ...call, tool: 'api_invoke', operation: 'getPet' })).toBe('api_invoke · getPet');
    expect(callTitle({ ...call, tool: null, method: 'resources/read' })).toBe('resources/read');
    expect(callTitle({ ...call, tool: null, method: 'GET', operation: '/pets' })).toBe('GET /pets');
    expect(callTitle({ ...call, tool: null, method: 'GET', era: 'http' })).toBe('GET over plain HTTP');
  });

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [34_816, '34 KiB'],
    [1024 * 1024 - 1, '1.0 MiB'],
    [10 * 1024 * 1024, '10 MiB'],
  ])('give %d bytes as «%s»', (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });

  it('leave out a size that was not measured', () => {
    const measured = { ...call, duration_ms: 1500, request_bytes: 812, response_bytes: 0 };
    expect(callMeasures(measured)).toBe('1.5 s · 812 B sent · 0 B received');
    expect(callMeasures({ ...measured, response_bytes: null })).toBe('1.5 s · 812 B sent');
  });

  it('say that calls without a record are counted for all connections together', () => {
    const lost = { calls: 12_345, since: '2026-11-23T12:00:00.000Z', until: '2026-11-23T12:05:00.000Z' };
    expect(notRecordedTitle(lost)).toBe('Not recorded: 12,345 calls');
    expect(notRecordedTitle({ ...lost, calls: 1 })).toBe('Not recorded: 1 call');
    expect(notRecordedText(lost)).toContain('on all connections together');
  });
});

describe('the words on changes of tools', () => {
  it('name what became of the tool, and which parts are others', () => {
    expect(toolChangeText({ change: 'added', parts: [] })).toBe('Added');
    expect(toolChangeText({ change: 'changed', parts: ['description', 'inputSchema'] })).toBe(
      'Changed: description, input schema',
    );
    expect(toolChangeText({ change: 'changed', parts: [...TOOL_PARTS] })).not.toContain('undefined');
  });
});
