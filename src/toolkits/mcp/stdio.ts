import { getDefaultEnvironment, StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { connectionLabel } from '../../core/connection.ts';
import { formatDuration } from '../../core/duration.ts';
import { AppError } from '../../core/errors.ts';
import type { ToolkitContext } from '../../core/ports.ts';
import { REDACTED } from '../../core/redact.ts';
import type { Session } from './session.ts';

/** What the operator's configuration file says of a program to run; never anything from elsewhere. */
export type ProgramConfig = { command: string; args: string[]; env: Record<string, string>; cwd: string | undefined };

const RESTART_MS = { first: 1_000, longest: 60_000 };
/** Who lives this long has started well: the next end is a first one again. */
const SETTLED_MS = 60_000;
/** A caller waits for a restart that is near, and is told of one that is not. */
const PATIENCE_MS = 5_000;
/** One message of the program may not be larger: it would be held in memory whole. */
const MOST_MESSAGE_BYTES = 64 * 1024 * 1024;
const STDERR = { line: 2_000, lines: 200, window: 60_000 };

/** A program on this server that speaks MCP on its standard streams: started with pauses, and listened to. */
export class Program {
  readonly #context: ToolkitContext;
  readonly #config: ProgramConfig;
  #failures = 0;
  #notBefore = 0;

  constructor(context: ToolkitContext, config: ProgramConfig) {
    this.#context = context;
    this.#config = config;
  }

  /** Nothing of our environment goes along but what programs need to find their way: no secret of ours. */
  transport(): StdioClientTransport {
    const { command, args, env, cwd } = this.#config;
    const transport = new StdioClientTransport({
      command,
      args,
      env: { ...getDefaultEnvironment(), ...env },
      ...(cwd === undefined ? {} : { cwd }),
      stderr: 'pipe',
      maxBufferSize: MOST_MESSAGE_BYTES,
    });
    this.#listen(transport);
    return transport;
  }

  /**
   * Starts it, not before its pause is over; one that ends soon after its start makes the next pause longer.
   * @throws AppError unavailable when that would take long; whatever `start` throws.
   */
  async started(start: () => Promise<Session>): Promise<Session> {
    const { clock } = this.#context;
    const wait = this.#notBefore - clock.monotonic();
    if (wait > PATIENCE_MS) {
      const text = `The command of ${connectionLabel(this.#context.key)} keeps ending; it is started again in ${formatDuration(Math.ceil(wait / 1000) * 1000)}. Its standard error is in the log at level debug.`;
      throw new AppError('unavailable', text, { retry_after: Math.ceil(wait / 1000) });
    }
    if (wait > 0) await clock.sleep(wait);
    try {
      const session = await start();
      const began = clock.monotonic();
      // A session that we close, because its client has left, says nothing against the program.
      const ended = () => session.wasLost && this.#ended(clock.monotonic() - began >= SETTLED_MS);
      session.ended.addEventListener('abort', ended, { once: true });
      return session;
    } catch (error) {
      this.#ended(false);
      throw this.#told(error);
    }
  }

  #ended(settled: boolean): void {
    const { clock, random } = this.#context;
    this.#failures = settled ? 0 : this.#failures + 1;
    if (this.#failures < 2) return;
    const pause = Math.min(RESTART_MS.first * 2 ** (this.#failures - 2), RESTART_MS.longest);
    this.#notBefore = clock.monotonic() + pause * (0.8 + 0.4 * random.fraction());
  }

  #told(error: unknown): unknown {
    const code = (error as { code?: unknown } | undefined)?.code;
    if (code !== 'ENOENT' && code !== 'EACCES') return error;
    const what = code === 'ENOENT' ? 'is not found' : 'may not be run';
    const text = `The command of ${connectionLabel(this.#context.key)} ${what} on this server (${code}). Check command and cwd in the configuration file.`;
    return new AppError('upstream_unreachable', text, { cause: error });
  }

  /** Its standard error goes into the log at debug: bounded, in printable characters, without the values of `env`. */
  #listen(transport: StdioClientTransport): void {
    const { clock, log } = this.#context;
    const secrets = Object.values(this.#config.env).filter((value) => value.length >= 4);
    let rest = '';
    let window = { began: clock.monotonic(), lines: 0 };
    const tell = (line: string) => {
      if (clock.monotonic() - window.began > STDERR.window) window = { began: clock.monotonic(), lines: 0 };
      window.lines += 1;
      if (window.lines > STDERR.lines) return;
      const plain = secrets.reduce((text, secret) => text.replaceAll(secret, REDACTED), line);
      const printable = plain.replace(/\p{Cc}/gu, ' ').slice(0, STDERR.line);
      if (printable.trim() !== '') log.debug('standard error of the command', { line: printable });
    };
    transport.stderr?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = (lines.pop() ?? '').slice(0, STDERR.line);
      for (const line of lines) tell(line);
    });
  }
}
