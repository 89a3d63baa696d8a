import type {
  ElicitRequestFormParams,
  InputRequest,
  InputRequiredResult,
  ServerContext,
} from '@modelcontextprotocol/server';
import { CLIENT_CAPABILITIES_META_KEY, MissingRequiredClientCapabilityError } from '@modelcontextprotocol/server';
import { type FixtureCall, type FixtureTool, text } from './fixture-call.ts';

/** A form that asks for fields which all must be there. */
export const form = (message: string, properties: Record<string, unknown>, required = Object.keys(properties)) => ({
  method: 'elicitation/create' as const,
  params: { message, requestedSchema: { type: 'object', properties, required } } as ElicitRequestFormParams,
});
const sample = (prompt: string, maxTokens: number) => ({
  method: 'sampling/createMessage' as const,
  params: { messages: [{ role: 'user' as const, content: { type: 'text' as const, text: prompt } }], maxTokens },
});
const roots = { method: 'roots/list' as const, params: {} };
const name = { name: { type: 'string' } };
const ok = { ok: { type: 'boolean' } };

export const inputRequired = (inputRequests: Record<string, InputRequest>, requestState?: string) =>
  ({
    resultType: 'input_required',
    inputRequests,
    ...(requestState === undefined ? {} : { requestState }),
  }) as InputRequiredResult;

/** What was accepted under that key; undefined: ask again. */
export function accepted(ctx: ServerContext, key: string): Record<string, unknown> | undefined {
  const response = ctx.mcpReq.inputResponses?.[key];
  return typeof response === 'object' && response !== null ? (response as Record<string, unknown>) : undefined;
}

function capabilities(ctx: ServerContext): Record<string, unknown> {
  const envelope: Record<string, unknown> = { ...ctx.mcpReq.envelope };
  return (envelope[CLIENT_CAPABILITIES_META_KEY] ?? {}) as Record<string, unknown>;
}

/** A tool of one question, which remembers nothing between the two requests. */
function asks(key: string, question: InputRequest, answer: (given: Record<string, unknown>) => string) {
  return ({ ctx }: FixtureCall) => {
    const given = accepted(ctx, key);
    return given ? text(answer(given)) : inputRequired({ [key]: question });
  };
}

/** A tool of one question whose second request must bring the state of the first, as it was signed. */
function remembers(questions: Record<string, InputRequest>, answer: string) {
  return async ({ ctx, state }: FixtureCall) => {
    const remembered = ctx.mcpReq.requestState<{ round: number }>();
    const all = Object.keys(questions).every((key) => accepted(ctx, key));
    if (remembered && all) return text(answer);
    return inputRequired(questions, await state.mint({ round: 1 }));
  };
}

/** Asks a person: a legacy client in the midst of the call, a modern one by an answer that wants input. */
async function elicited({ era, ctx }: FixtureCall, question: ReturnType<typeof form>, label: string) {
  const told = (given: Record<string, unknown>) =>
    text(`${label}: action=${String(given.action)}, content=${JSON.stringify(given.content ?? {})}`);
  if (era === 'legacy') return told(await ctx.mcpReq.elicitInput(question.params));
  const given = accepted(ctx, 'answer');
  return given ? told(given) : inputRequired({ answer: question });
}

const titled = (first: string) => [
  { const: 'value1', title: `First ${first}` },
  { const: 'value2', title: `Second ${first}` },
  { const: 'value3', title: `Third ${first}` },
];
const OPTIONS = ['option1', 'option2', 'option3'];
const ENUMS = {
  untitledSingle: { type: 'string', enum: OPTIONS },
  titledSingle: { type: 'string', oneOf: titled('Option') },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: OPTIONS } },
  titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
};
const DEFAULTS = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
};

const string = (property: string) => ({
  type: 'object',
  properties: { [property]: { type: 'string' } },
  required: [property],
});

/** Tools that ask the client in the midst of a call, or cannot do without. */
export const ASKING: Record<string, FixtureTool> = {
  test_sampling: {
    description: "Asks the client's model",
    inputSchema: string('prompt'),
    async call({ era, ctx, args }) {
      const question = sample(String(args.prompt), 100);
      const given = era === 'legacy' ? await ctx.mcpReq.requestSampling(question.params) : accepted(ctx, 'response');
      return given ? text(`LLM response: ${JSON.stringify(given.content)}`) : inputRequired({ response: question });
    },
  },
  test_elicitation: {
    description: 'Asks the person',
    inputSchema: string('message'),
    call: (call) => {
      const fields = {
        username: { type: 'string', description: "User's response" },
        email: { type: 'string', description: "User's email address" },
      };
      return elicited(call, form(String(call.args.message), fields), 'User response');
    },
  },
  test_elicitation_sep1034_defaults: {
    description: 'Asks with defaults in every kind of field',
    call: (call) => elicited(call, form('Review the defaults', DEFAULTS, []), 'Elicitation completed'),
  },
  test_elicitation_sep1330_enums: {
    description: 'Asks with every kind of enumeration',
    call: (call) => elicited(call, form('Choose', ENUMS, []), 'Elicitation completed'),
  },
  test_missing_capability: {
    description: 'Cannot do without sampling',
    call({ era, ctx }) {
      if (era === 'modern' && !capabilities(ctx).sampling) {
        throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
      }
      return text('The client can sample.');
    },
  },
  test_streaming_elicitation: {
    description: 'Asks the person, and never on the stream of the answer',
    call: asks('confirmation', form('Go on?', ok), () => 'Confirmed.'),
  },
};

/** Tools that answer with a question, and are called again with what was said. */
export const INPUT_REQUIRED: Record<string, FixtureTool> = {
  test_input_required_result_elicitation: {
    description: 'Wants a name first',
    call: asks('user_name', form('What is your name?', name), ({ content }) => {
      const given = (content ?? {}) as Record<string, unknown>;
      return `Hello, ${String(given.name)}!`;
    }),
  },
  test_input_required_result_sampling: {
    description: 'Wants to know a capital first',
    call: asks('capital_question', sample('What is the capital of France?', 100), (given) => JSON.stringify(given)),
  },
  test_input_required_result_list_roots: {
    description: 'Wants the roots first',
    call: asks('client_roots', roots, (given) => `Roots: ${JSON.stringify(given.roots)}`),
  },
  test_input_required_result_request_state: {
    description: 'Wants its state back',
    call: remembers({ confirm: form('Please confirm', ok) }, 'state-ok'),
  },
  test_input_required_result_multiple_inputs: {
    description: 'Wants three things at once',
    call: remembers(
      { user_name: form('What is your name?', name), greeting: sample('Generate a greeting', 50), client_roots: roots },
      'All three were given.',
    ),
  },
  test_input_required_result_multi_round: {
    description: 'Asks twice',
    async call({ ctx, state }) {
      const round = ctx.mcpReq.requestState<{ round: number }>()?.round ?? 0;
      if (round === 2 && accepted(ctx, 'step2')) return text('Both rounds are over.');
      if (round === 1 && accepted(ctx, 'step1')) {
        const color = { color: { type: 'string' } };
        const question = form('Step 2: What is your favorite color?', color);
        return inputRequired({ step2: question }, await state.mint({ round: 2 }));
      }
      return inputRequired({ step1: form('Step 1: What is your name?', name) }, await state.mint({ round: 1 }));
    },
  },
  test_input_required_result_tampered_state: {
    description: 'Takes its state back only as it was signed',
    call: remembers({ confirm: form('Please confirm', ok) }, 'The state is ours.'),
  },
  test_input_required_result_capabilities: {
    description: 'Asks only what the client can be asked',
    call({ ctx }) {
      const can = capabilities(ctx);
      const given = accepted(ctx, 'sampled') ?? accepted(ctx, 'elicited');
      if (given) return text('The client was asked.');
      return inputRequired({
        ...(can.sampling ? { sampled: sample('Say something', 50) } : {}),
        ...(can.elicitation ? { elicited: form('Say something', name) } : {}),
      });
    },
  },
};
