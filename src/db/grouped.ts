/** What became of one input, worked out on behalf of its caller alone: it may throw. */
export type Outcome<Out> = () => Out | Promise<Out>;

export type GroupedOptions<In> = {
  /** The most inputs of one run. */
  most: number;
  /** Two inputs of one key never share a run, so that each finds what the one before it has done. */
  keyOf?: (input: In) => string;
};

type Waiting<In, Out> = { input: In; resolve(out: Out | Promise<Out>): void; reject(error: unknown): void };

/**
 * Calls that are made while a run is under way share the next one: under load a statement serves many connections, and
 * alone none waits. A run begins after every call that it serves was made, so nobody reads what was before his own write.
 * @param run one outcome per input, in their order; where it rejects, all its inputs fail with that
 */
export function grouped<In, Out>(
  run: (inputs: readonly In[]) => Promise<readonly Outcome<Out>[]>,
  { most, keyOf }: GroupedOptions<In>,
): (input: In) => Promise<Out> {
  let waiting: Waiting<In, Out>[] = [];
  let running = false;

  function take(): Waiting<In, Out>[] {
    const keys = new Set<string>();
    const taken: Waiting<In, Out>[] = [];
    const left: Waiting<In, Out>[] = [];
    for (const one of waiting) {
      const key = keyOf?.(one.input);
      const fits = taken.length < most && (key === undefined || !keys.has(key));
      (fits ? taken : left).push(one);
      if (key !== undefined) keys.add(key);
    }
    waiting = left;
    return taken;
  }

  async function serve(taken: readonly Waiting<In, Out>[]): Promise<void> {
    try {
      const outcomes = await run(taken.map(({ input }) => input));
      for (const [index, { resolve, reject }] of taken.entries()) {
        try {
          const outcome = outcomes[index];
          if (!outcome) throw new Error('a run must have an outcome for each of its inputs');
          resolve(outcome());
        } catch (error) {
          reject(error);
        }
      }
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
  }

  async function work(): Promise<void> {
    // Whatever was started together arrives within this turn of the promises.
    await Promise.resolve();
    while (waiting.length > 0) await serve(take());
    running = false;
  }

  return (input) =>
    new Promise<Out>((resolve, reject) => {
      waiting.push({ input, resolve, reject });
      if (running) return;
      running = true;
      void work();
    });
}
