import { connectionLabel } from '../../core/connection.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import { EgressError } from '../../core/ports.ts';
import type { AuthorizedFetch } from '../authorized-fetch.ts';
import { credentialHeader, credentialParameter } from '../credential-headers.ts';
import { unreachable } from '../unreachable.ts';
import { Deadlines } from './deadline.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Description, ParseOptions, ReadDescription } from './openapi/description.ts';
import { MAX_BYTES } from './openapi/document.ts';

/** What is known of an API's operations right now. */
export type DescriptionState = {
  /** The last one that could be read. */
  description: Description | null;
  /** Why there is none, or why it is an older one; null while all is well, or none is configured. */
  problem: string | null;
};

export type DescribedApiDeps = {
  context: ToolkitContext;
  fetch: AuthorizedFetch;
  read: ReadDescription;
  budget: MemoryBudget;
  timeout: number;
};

function parseOptions({ config }: ToolkitContext): ParseOptions {
  const header = credentialHeader(config);
  const parameter = credentialParameter(config);
  const headers = [...Object.keys(config.static_headers ?? {}), 'authorization', ...(header ? [header] : [])];
  return {
    base_url: String(config.base_url),
    supplied: { headers, query_params: parameter ? [parameter] : [] },
    max_bytes: MAX_BYTES,
  };
}

/**
 * The description of one connection's API: inline, or fetched from the connection's own origin with its credential.
 * One that cannot be read any more, or is read wrongly, never replaces the last good one.
 */
export class DescribedApi {
  readonly #deps: DescribedApiDeps;
  readonly #url: string | undefined;
  #state: DescriptionState = { description: null, problem: null };
  /** Of what was parsed last, so that the same text is not parsed again. */
  #text: string | undefined;
  #etag: string | null = null;
  #loading: Promise<void> | undefined;
  #loaded = false;

  constructor(deps: DescribedApiDeps) {
    this.#deps = deps;
    const { openapi_url } = deps.context.config;
    this.#url = typeof openapi_url === 'string' ? openapi_url : undefined;
  }

  get configured(): boolean {
    return this.#url !== undefined || this.#deps.context.config.openapi_spec !== undefined;
  }

  /** As it is known, loaded first where it never was. Never throws over a bad description. */
  async current(signal: AbortSignal): Promise<DescriptionState> {
    if (!this.#loaded) await this.refresh(signal);
    return this.#state;
  }

  /** As it is known, without waiting for a server: whoever calls by path needs none. An inline one is read first. */
  async known(signal: AbortSignal): Promise<DescriptionState> {
    if (this.#url === undefined) return this.current(signal);
    if (!this.#loaded) void this.#loadOnce();
    return this.#state;
  }

  /** Fetches it again; an inline one is read once. Callers share one attempt, and may leave it. */
  async refresh(signal: AbortSignal): Promise<void> {
    if (this.#loaded && this.#url === undefined) return;
    signal.throwIfAborted();
    let leave: () => void = () => undefined;
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    signal.addEventListener('abort', leave);
    await Promise.race([this.#loadOnce(), left]);
    signal.removeEventListener('abort', leave);
    signal.throwIfAborted();
  }

  #loadOnce(): Promise<void> {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #load(): Promise<void> {
    const { context } = this.#deps;
    try {
      if (this.#url !== undefined) await this.#fetchAndRead(this.#url);
      else if (typeof context.config.openapi_spec === 'string') await this.#read(context.config.openapi_spec);
    } catch (error) {
      const told = error instanceof EgressError ? unreachable(error, connectionLabel(context.key), true) : error;
      const { code, message } = toAppError(told);
      this.#fail(`The description of the API could not be fetched: ${message}`);
      context.log.warn('the description of an API could not be fetched; the last good one is kept', { code });
    }
    this.#loaded = true;
  }

  async #fetchAndRead(url: string): Promise<void> {
    const fetched = await this.#fetchText(url);
    if (fetched === undefined) {
      this.#state = { ...this.#state, problem: null };
      return;
    }
    // One that cannot be read has not been seen: else its «not modified» would pass for a good one.
    this.#etag = (await this.#read(fetched.text)) ? fetched.etag : null;
  }

  /** @returns whether it is the description now */
  async #read(text: string): Promise<boolean> {
    if (text === this.#text && this.#state.description !== null) {
      this.#state = { ...this.#state, problem: null };
      return true;
    }
    const { context, read } = this.#deps;
    const parsed = await read(text, parseOptions(context), context.clock);
    if (!parsed.ok) {
      const [first] = parsed.issues;
      const where = first?.at ? `${first.at}: ` : '';
      this.#fail(`The description of the API cannot be read: ${where}${first?.message ?? 'it is empty'}`);
      return false;
    }
    this.#text = text;
    this.#state = { description: parsed.description, problem: null };
    const { title, format, operations, warnings } = parsed.description;
    context.log.info('the description of an API was read', {
      title: title.slice(0, 200),
      format,
      operations: operations.length,
      warnings: warnings.length,
    });
    return true;
  }

  #fail(problem: string): void {
    const kept = this.#state.description === null ? '' : ' The last good one is still used.';
    this.#state = { ...this.#state, problem: `${problem}${kept}` };
  }

  /** undefined: it has not changed. */
  async #fetchText(url: string): Promise<{ text: string; etag: string | null } | undefined> {
    const { context, fetch, budget, timeout } = this.#deps;
    const deadline = new Deadlines(context.clock).begin(timeout, new AbortController().signal);
    const reservation = budget.reserve();
    try {
      const headers: Record<string, string> = { accept: 'application/json, application/yaml;q=0.9, */*;q=0.5' };
      if (this.#etag !== null && this.#state.description !== null) headers['if-none-match'] = this.#etag;
      const response = await fetch(url, { headers, signal: deadline.signal });
      if (response.status === 304 && this.#state.description !== null) return undefined;
      if (!response.ok) {
        await response.body?.cancel();
        const redirect = response.status >= 300 && response.status < 400 ? ', a redirect, which is not followed' : '';
        throw new AppError('upstream_failed', `openapi_url answers with HTTP ${response.status}${redirect}.`);
      }
      const chunks: Uint8Array[] = [];
      let size = 0;
      const body: AsyncIterable<Uint8Array> | null = response.body;
      for await (const chunk of body ?? []) {
        size += chunk.byteLength;
        if (size > MAX_BYTES) throw new AppError('upstream_failed', 'It is larger than 32 MiB.');
        if (!reservation.grow(chunk.byteLength)) throw new AppError('overloaded', 'Too many large answers at once.');
        chunks.push(chunk);
      }
      return { text: Buffer.concat(chunks, size).toString('utf8'), etag: response.headers.get('etag') };
    } finally {
      reservation.release();
      deadline.release();
    }
  }
}
