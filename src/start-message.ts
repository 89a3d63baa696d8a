import { linkCommand } from './config.ts';
import type { Demo } from './demo.ts';
import type { Platform } from './main.ts';

const ENGINES = { embedded: 'embedded PostgreSQL', postgresql: 'PostgreSQL' } as const;

function claudeCode({ publicUrl, agentKey }: Platform): string {
  const key = agentKey?.key ?? '<one of your api_keys>';
  return `claude mcp add --transport http mcp-data-platform ${publicUrl}/mcp --header "Authorization: Bearer ${key}"`;
}

/** What a person needs next, once the server answers. It goes to the terminal, never to the log. */
export async function startMessage(platform: Platform, demo?: Demo): Promise<string> {
  const { version, publicUrl, agentKey, config, engine, movedPort } = platform;
  const rows: [string, string][] = [
    ['Portal', `${await platform.signInLink()}`],
    ['', `The link signs one browser in, once, within 15 minutes. Another: ${linkCommand(config)}`],
    ['MCP endpoint', `${publicUrl}/mcp`],
    ['Key', agentKey ? `${agentKey.key}  (kept in ${agentKey.path})` : 'one of the api_keys of your configuration'],
    ['Claude Code', claudeCode(platform)],
    ['State', `${config.data_dir} (${ENGINES[engine]})`],
  ];
  if (movedPort) {
    rows.push([
      'Note',
      `Port ${config.address.port} is taken, so this server took a free one. OAuth redirect URIs change with it: connections made before keep working, but clients registered by hand need ${publicUrl} to connect again.`,
    ]);
  }
  if (demo) {
    rows.push(['Demo', `identity provider ${demo.issuer} (user ${demo.username}, password ${demo.password})`]);
    rows.push(['', `upstream ${demo.upstreamUrl}, connected as mcp/demo; its history grows while nobody calls`]);
  }
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  const lines = rows.map(([label, text]) => `  ${label.padEnd(width)}${text}`);
  return `\nmcp-data-platform ${version} is running.\n\n${lines.join('\n')}\n\n`;
}
