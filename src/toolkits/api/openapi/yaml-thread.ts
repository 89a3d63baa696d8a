import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../core/ports.ts';
import type { JsonOf } from './description.ts';
import { beginsLikeJson, MAX_YAML_BYTES } from './document.ts';

/** Read where it is: shorter than a thread takes to start. */
const SMALL = 16_384;
/** `yaml` takes 4 s for the largest that it is given, on a machine with nothing else to do. */
const TIME_MS = 60_000;
const MEMORY_MB = 1_024;

type Reply = { text: string } | { message: string };

function isReadHere(text: string): boolean {
  if (text.length <= SMALL || text.length > MAX_YAML_BYTES) return true;
  if (!beginsLikeJson(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

async function read(text: string, clock: Clock): Promise<Reply> {
  // Options of our own command line (`--input-type`, `--inspect-brk`) are not meant for this thread.
  const options = { execArgv: [], stdout: true, stderr: true, resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB } };
  const worker = new Worker(new URL('./yaml-worker.js', import.meta.url), { ...options, workerData: text });
  const over = new AbortController();
  try {
    return await new Promise<Reply>((resolve) => {
      const give = (why: string) => resolve({ message: `The description is YAML that ${why}. Give it as JSON.` });
      worker.once('message', resolve);
      worker.once('error', () => give('takes too much memory to read'));
      worker.once('exit', () => give('could not be read'));
      void clock.sleep(TIME_MS, over.signal).then(() => give('takes too long to read'));
    });
  } finally {
    over.abort();
    await worker.terminate();
  }
}

/**
 * YAML as JSON, read in a thread, one text after the other: `yaml` takes a second for a megabyte, in which nobody else
 * would be served. JSON, and what is small or too large, is handed back as it is.
 */
export function createYamlReader(): (text: string, clock: Clock) => ReturnType<JsonOf> {
  let last: Promise<unknown> = Promise.resolve();
  return async (text, clock) => {
    if (isReadHere(text)) return { ok: true, text };
    const reading = last.then(() => read(text, clock));
    last = reading.catch(() => undefined);
    const reply = await reading;
    if ('text' in reply) return { ok: true, text: reply.text };
    return { ok: false, issues: [{ at: '', message: reply.message }] };
  };
}
