#!/usr/bin/env node
import { Command, CommanderError, Option } from 'commander';
import { ownerEndpoint, requestExamination, requestSignInLink, waitForOwnership } from './attach.ts';
import { keepProcessAlive, systemClock } from './clock.ts';
import { type Config, linkCommand, loadConfig, SETTINGS } from './config.ts';
import { isAppError } from './core/errors.ts';
import type { Log } from './core/ports.ts';
import { DATABASE_IMAGE } from './database-image.ts';
import { openPrepared } from './db/embedded/data-directory.ts';
import { acquireOwnership } from './db/embedded/owner-lock.ts';
import type { Demo } from './demo.ts';
import { diagnose, diagnosisText } from './doctor.ts';
import { createLog } from './log.ts';
import type { Platform, PlatformOptions } from './main.ts';
import { packageVersion } from './package-version.ts';
import { startMessage } from './start-message.ts';
import { exportFile, importFile } from './transfer.ts';

// The parts are imported where they are needed: loading them takes half a second, in which the database can open.

type Flags = {
  transport?: string;
  address?: string;
  dataDir?: string;
  publicUrl?: string;
  config?: string;
  demo?: boolean;
  force?: boolean;
};

function settingsOf(flags: Flags): Config {
  const config = loadConfig({
    transport: flags.demo ? 'http' : flags.transport,
    address: flags.address,
    data_dir: flags.dataDir,
    public_url: flags.publicUrl,
    config: flags.config,
  });
  return flags.demo && flags.dataDir === undefined ? { ...config, data_dir: `${config.data_dir}-demo` } : config;
}

/** Aborts at the first signal; a second one ends the process at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => (stop.signal.aborted ? process.exit(130) : stop.abort()));
  }
  return stop.signal;
}

/** Its lock ends with this process, so that a supervisor, or a process that is attached, can begin anew. */
function onEngineLost(error: Error): void {
  createLog('error').error('the embedded database has died; this process ends so that another can take over', {
    error,
  });
  process.exit(1);
}

/**
 * Starts the server on a data directory that this process owns. The embedded database opens in its own thread while
 * the server is loaded: each takes its half of a start.
 */
async function start(config: Config, options: PlatformOptions): Promise<Platform> {
  const embedded = config.database_url === undefined;
  const engineAhead = embedded ? openPrepared(config.data_dir, DATABASE_IMAGE, onEngineLost) : undefined;
  // Whoever awaits it is told; until then a failure is nobody's.
  engineAhead?.catch(() => {});
  const { startPlatform } = await import('./main.ts');
  return startPlatform(config, { ...options, onEngineLost, engineAhead });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  // The listener keeps the process alive; this only waits.
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/**
 * Makes this process the owner of its data directory, on PostgreSQL too: identity and escrow of a replica lie there.
 * Says once why it waits; false when it was stopped before it became the owner.
 */
async function becomeOwner(config: Config, stop: AbortSignal, say: (text: string) => void): Promise<boolean> {
  const first = await acquireOwnership(config.data_dir);
  if (first.owned) return true;
  const owner = ownerEndpoint(config.data_dir);
  const where = owner ? ` at ${new URL(owner.url).origin} (process ${owner.pid})` : '';
  say(
    `The data directory ${config.data_dir} is already served${where}. This process waits and takes over when that one ends; for a sign-in link run: ${linkCommand(config)}\n`,
  );
  const release = keepProcessAlive();
  try {
    return (await waitForOwnership(config.data_dir, systemClock, stop)) !== undefined;
  } finally {
    release();
  }
}

async function beginDemo(config: Config, log: Log): Promise<Demo> {
  const { startDemo } = await import('./demo.ts');
  return startDemo(config.data_dir, log);
}

async function serveHttp(config: Config, log: Log, stop: AbortSignal, withDemo: boolean): Promise<void> {
  const say = (text: string) => process.stdout.write(text);
  if (!(await becomeOwner(config, stop, say))) return;
  const demo = withDemo ? await beginDemo(config, log) : undefined;
  try {
    const platform = await start(config, { log });
    try {
      await demo?.connect(platform);
      say(await startMessage(platform, demo));
      await untilAborted(stop);
    } finally {
      await platform.stop();
    }
  } finally {
    await demo?.stop();
  }
}

/** Serves the client at stdin and stdout: as the owner of the data directory, or through whoever owns it. */
async function serveStdio(config: Config, log: Log, stop: AbortSignal): Promise<void> {
  const first = await acquireOwnership(config.data_dir);
  if (first.owned) {
    const platform = await start(config, { log, anyPort: true });
    process.stderr.write(await startMessage(platform));
    await Promise.race([platform.stdio.serve(process.stdin, process.stdout), untilAborted(stop)]);
    return platform.stop();
  }
  const done = new AbortController();
  const takeover = takeOver(config, log, AbortSignal.any([stop, done.signal]));
  const [{ createEgress }, { createRelay }] = await Promise.all([import('./egress.ts'), import('./mcp/relay.ts')]);
  const fetch = createEgress();
  const relay = createRelay({
    endpoint: async () => ownerEndpoint(config.data_dir) ?? 'owner_gone',
    fetch,
    clock: systemClock,
    log,
  });
  await Promise.race([relay.serve(process.stdin, process.stdout), untilAborted(stop)]);
  done.abort();
  await (await takeover)?.stop();
  await fetch.close();
}

const TAKEOVER_RETRY_MS = 5_000;

/** When the owner ends, one of those attached becomes the owner; its relay then leads to itself. */
async function takeOver(config: Config, log: Log, signal: AbortSignal): Promise<Platform | undefined> {
  for (;;) {
    const ownership = await waitForOwnership(config.data_dir, systemClock, signal);
    if (!ownership) return undefined;
    log.info('the process that owned the data directory has ended; this one takes over');
    try {
      return await start(config, { log, anyPort: true });
    } catch (error) {
      // The client at the pipe is told by the relay; perhaps another process, or the next try, does better.
      log.error('this process could not take over the data directory', { error });
      await ownership.release();
      await systemClock.sleep(TAKEOVER_RETRY_MS, signal);
    }
  }
}

async function serve(flags: Flags): Promise<void> {
  const config = settingsOf(flags);
  const log = createLog(config.log_level);
  const stop = stopSignal();
  if (config.transport === 'http') return serveHttp(config, log, stop, flags.demo ?? false);
  return serveStdio(config, log, stop);
}

async function link(flags: Flags): Promise<void> {
  const config = settingsOf(flags);
  const { createEgress } = await import('./egress.ts');
  const fetch = createEgress();
  try {
    process.stdout.write(`${await requestSignInLink(config.data_dir, fetch, systemClock)}\n`);
  } finally {
    await fetch.close();
  }
}

/** @returns the exit code: 1 when something needs a person */
async function doctor(flags: Flags & { json?: boolean }): Promise<number> {
  const config = settingsOf(flags);
  const { createEgress } = await import('./egress.ts');
  const fetch = createEgress();
  try {
    const diagnosis = diagnose(config, await requestExamination(config.data_dir, fetch, systemClock));
    process.stdout.write(flags.json ? `${JSON.stringify(diagnosis, null, 2)}\n` : diagnosisText(diagnosis));
    return diagnosis.needs_person ? 1 : 0;
  } finally {
    await fetch.close();
  }
}

/** Both end by themselves; on the embedded engine no server may run beside them. */
async function transfer(run: typeof exportFile | typeof importFile, file: string, flags: Flags): Promise<void> {
  const config = settingsOf(flags);
  const log = createLog(config.log_level === 'info' ? 'warn' : config.log_level);
  const version = await packageVersion();
  process.stdout.write(await run({ config, file, version, log, overwrite: flags.force ?? false }));
}

function flag(setting: (typeof SETTINGS)['transport' | 'address' | 'data_dir' | 'public_url']): Option {
  return new Option(setting.flag, setting.about);
}

function program(version: string): Command {
  const command = new Command('mcp-data-platform')
    .description('One MCP endpoint in front of many, whose OAuth connections never die silently.')
    .version(version)
    .addOption(flag(SETTINGS.transport))
    .addOption(flag(SETTINGS.address))
    .addOption(flag(SETTINGS.data_dir))
    .addOption(flag(SETTINGS.public_url))
    .option('--config <file>', 'A YAML file with settings and connections; see docs/configuration.md.')
    .option('--demo', 'Also start a real identity provider and MCP server on loopback, and connect them.')
    .allowExcessArguments(false)
    .exitOverride()
    .action((flags: Flags) => serve(flags));
  command
    .command('link')
    .description('Print a fresh one-time sign-in link of the running server.')
    .exitOverride()
    .action((_own, self: Command) => link(self.optsWithGlobals<Flags>()));
  command
    .command('doctor')
    .description('Say which connections need a person, and until when the others live; exit 1 when one does.')
    .option('--json', 'The same as JSON.')
    .exitOverride()
    .action(async (_own, self: Command) => {
      process.exitCode = await doctor(self.optsWithGlobals<Flags & { json?: boolean }>());
    });
  command
    .command('export')
    .description('Write connections, tokens (encrypted) and history to one file, from either engine.')
    .argument('<file>', 'where to write it')
    .option('--force', 'replace a file that is there')
    .exitOverride()
    .action((file: string, _own, self: Command) => transfer(exportFile, file, self.optsWithGlobals<Flags>()));
  command
    .command('import')
    .description('Fill an empty data directory or PostgreSQL database from an exported file.')
    .argument('<file>', 'what export has written')
    .exitOverride()
    .action((file: string, _own, self: Command) => transfer(importFile, file, self.optsWithGlobals<Flags>()));
  return command;
}

/** One sentence for the person, and the exit code of its kind; what is not ours goes to the log. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (isAppError(error)) {
    process.stderr.write(`${error.message}\n`);
    return error.exitCode;
  }
  createLog('error').error('the server ended by a fault of its own', { error });
  process.stderr.write('The server ended by a fault of its own; the line above says where. Please report it.\n');
  return 1;
}

try {
  await program(await packageVersion()).parseAsync();
  process.exit(process.exitCode ?? 0);
} catch (error) {
  process.exit(explain(error));
}
