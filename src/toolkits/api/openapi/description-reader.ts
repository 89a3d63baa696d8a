import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../core/ports.ts';
import type { ParsedDescription, ReadDescription } from './description.ts';
import { MAX_BYTES, MAX_YAML_BYTES, rootOf } from './document.ts';
import { describing, parseDescription } from './index.ts';
import { beginsLikeJson } from './json-text.js';
import type { Pieces } from './value-pieces.js';

/** Read where it is: shorter than a thread takes to start. `yaml` reads 1 MB a second, `JSON.parse` a hundred times that. */
const SMALL_YAML = 16_384;
const SMALL_JSON = 1_048_576;
/** `yaml` takes 4 s for the largest that it is given, on a machine with nothing else to do. */
const TIME_MS = 60_000;
const MEMORY_MB = 1_024;
/** How long the others wait for a part of the work that is done here. */
const SLICE_MS = 10;

type Reply = { pieces: Pieces } | { message: string };

function parsesAsJson(text: string): boolean {
  try {
    JSON.parse(text.replace(/^\uFEFF/, ''));
    return true;
  } catch {
    return false;
  }
}

function isReadHere(text: string): boolean {
  if (text.length <= SMALL_YAML || text.length > MAX_BYTES) return true;
  if (!beginsLikeJson(text)) return text.length > MAX_YAML_BYTES;
  return text.length <= SMALL_JSON && parsesAsJson(text);
}

async function inThread(text: string, clock: Clock): Promise<Reply> {
  // Options of our own command line (`--input-type`, `--inspect-brk`) are not meant for this thread.
  const options = { execArgv: [], stdout: true, stderr: true, resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB } };
  const workerData = { text, limit: MAX_BYTES, yaml_limit: MAX_YAML_BYTES };
  const worker = new Worker(new URL('./description-worker.js', import.meta.url), { ...options, workerData });
  const over = new AbortController();
  const advice = beginsLikeJson(text) ? 'Leave out what is not called.' : 'Give it as JSON.';
  try {
    return await new Promise<Reply>((resolve) => {
      const give = (why: string) => resolve({ message: `The description ${why}. ${advice}` });
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

/** An own member whatever its name: an assignment to `__proto__` would be something else, and defining is slow. */
function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') object[name] = value;
  else Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

/** The value that was taken to pieces, one at a time. */
function* assembled(pieces: Pieces): Generator<void, unknown> {
  yield;
  if (typeof pieces === 'string') return JSON.parse(pieces) as unknown;
  const items: unknown[] = [];
  const members: Record<string, unknown> = {};
  for (const part of pieces.parts) {
    yield;
    const some: object = typeof part === 'string' ? (JSON.parse(part) as object) : {};
    if (typeof part !== 'string') setMember(some as Record<string, unknown>, part[0], yield* assembled(part[1]));
    if (pieces.list) for (const item of Object.values(some)) items.push(item);
    else for (const [name, value] of Object.entries(some)) setMember(members, name, value);
  }
  return pieces.list ? items : members;
}

function* reading(pieces: Pieces, options: Parameters<ReadDescription>[1]): Generator<void, ParsedDescription> {
  const read = rootOf(yield* assembled(pieces));
  return read.ok ? yield* describing(read.root, options) : read;
}

/** Does the work step by step and lets others be served in between. */
async function inSlices<T>(work: Generator<void, T>, clock: Clock): Promise<T> {
  let began = clock.monotonic();
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (clock.monotonic() - began < SLICE_MS) continue;
    await clock.sleep(0);
    began = clock.monotonic();
  }
}

/**
 * Reads descriptions without holding anybody up. What is large is parsed in a thread, one text after the other, and comes
 * back in pieces: as one message of 32 MiB it would take as long to receive as to parse.
 */
export function createDescriptionReader(): ReadDescription {
  let last: Promise<unknown> = Promise.resolve();
  return async (text, options, clock) => {
    if (isReadHere(text)) return parseDescription(text, options);
    const read = last.then(() => inThread(text, clock));
    last = read.catch(() => undefined);
    const reply = await read;
    if ('message' in reply) return { ok: false, issues: [{ at: '', message: reply.message }] };
    return inSlices(reading(reply.pieces, options), clock);
  };
}
