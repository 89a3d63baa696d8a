import type { Config } from './config.ts';
import { AppError } from './core/errors.ts';
import type { Log, Toolkit } from './core/ports.ts';
import { acquireOwnership } from './db/embedded/owner-lock.ts';
import { createLog } from './log.ts';
import { type Platform, startPlatform } from './main.ts';
import { withToolkits } from './toolkit-modules.ts';

export type PlatformBuilder = {
  /**
   * Adds a kind of connection, before the start.
   * @throws AppError invalid_config where it is no toolkit, or its kind is taken
   */
  registerToolkit(toolkit: Toolkit): PlatformBuilder;
  /**
   * Takes the data directory and serves until `stop`, which gives it back.
   * @throws AppError `data_dir` while another process serves that directory, and whatever the start throws
   */
  start(): Promise<Platform>;
};

/** The platform as a part of another program. `loadConfig({})` gives a configuration of defaults and environment. */
export function createPlatform({ config, log }: { config: Config; log?: Log }): PlatformBuilder {
  let toolkits: Toolkit[] = [];
  const builder: PlatformBuilder = {
    registerToolkit(toolkit) {
      toolkits = withToolkits(toolkits, [toolkit], 'The toolkit');
      return builder;
    },
    async start() {
      const ownership = await acquireOwnership(config.data_dir);
      if (!ownership.owned) {
        const sentence = `The data directory ${config.data_dir} is served by another process. Stop that one, or choose another directory.`;
        throw new AppError('data_dir', sentence);
      }
      try {
        const platform = await startPlatform(config, { log: log ?? createLog(config.log_level), toolkits });
        const stop = () => platform.stop().finally(ownership.release);
        return { ...platform, stop };
      } catch (error) {
        await ownership.release();
        throw error;
      }
    },
  };
  return builder;
}
