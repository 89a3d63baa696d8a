// One replica of bench:keepalive: the server as `dist/cli.js` composes it, with one more kind of connection.
import { createLog, createPlatform, loadConfig } from '../../dist/index.js';
import { idleToolkit } from './toolkit.mjs';

const config = loadConfig({
  transport: 'http',
  address: '127.0.0.1:0',
  data_dir: process.env.MCP_DATA_PLATFORM_DATA_DIR,
  config: process.argv[2],
});
const platform = await createPlatform({ config, log: createLog('warn') })
  .registerToolkit(idleToolkit)
  .start();
const { maxRSS } = process.resourceUsage();
process.send?.({ rss_at_start_mb: Math.round(maxRSS / 1024) });
/** Its start, and its first look at every connection, are not what is measured. */
let before = process.cpuUsage();
process.on('message', async (message) => {
  if (message === 'begin') {
    before = process.cpuUsage();
    return;
  }
  process.send?.({ peak_mb: Math.round(process.resourceUsage().maxRSS / 1024), cpu: process.cpuUsage(before) });
  await platform.stop();
  process.disconnect();
});
