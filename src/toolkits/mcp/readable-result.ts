import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import { isRecord } from '../../core/json-shape.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import type { Params } from './wire.ts';

const isList = (value: unknown, fits: (one: Params) => boolean = () => true) =>
  Array.isArray(value) && value.every((one) => isRecord(one) && fits(one));

/** What is wrong with a result in the place where every client of the method looks; undefined: nothing. */
const FAULTS: Record<string, (result: Params) => string | undefined> = {
  'tools/call': ({ content, isError }) => {
    if (!isList(content, ({ type }) => typeof type === 'string')) return 'content is no list of blocks with a type';
    return isError === undefined || typeof isError === 'boolean' ? undefined : 'isError is neither true nor false';
  },
  'prompts/get': ({ messages }) => (isList(messages) ? undefined : 'messages is no list of messages'),
  'resources/read': ({ contents }) => (isList(contents) ? undefined : 'contents is no list of contents'),
  'completion/complete': ({ completion }) =>
    isRecord(completion) && Array.isArray(completion.values) ? undefined : 'completion has no list of values',
};

function fault(method: string, result: Params): string | undefined {
  if (result.resultType !== 'input_required') return FAULTS[method]?.(result);
  const { inputRequests, requestState } = result;
  if (inputRequests !== undefined && !isRecord(inputRequests)) return 'inputRequests is no object';
  return requestState === undefined || typeof requestState === 'string' ? undefined : 'requestState is no text';
}

/**
 * A result that its client can read: clients refuse a whole message over one field, in words that name nobody. Fields
 * that nobody has to understand stay as they are.
 * @throws AppError upstream_failed for one that would be another result without what is wrong with it
 */
export function readableResult(context: ToolkitContext, method: string, result: Params): Params {
  // Left out by servers whose structured content says it all; the legacy era takes that for an empty list.
  const listed = method === 'tools/call' && result.resultType === undefined && result.content === undefined;
  const whole = listed ? { ...result, content: [] } : result;
  const wrong = fault(method, whole);
  if (wrong === undefined) return whole;
  const text = `The upstream of ${connectionLabel(context.key)} answered ${method} with a result that breaks the protocol: ${wrong}. The call may have been carried out; check before you repeat it.`;
  throw new AppError('upstream_failed', text);
}
