/** What a toolkit author and an embedding program may use; everything else is inside. */
export { type Config, loadConfig } from './config.ts';
export { type ConnectionConfig, type ConnectionKey, checkSharedConfig, sharedConfigShape } from './core/connection.ts';
export { AppError, type ErrorCode } from './core/errors.ts';
export type {
  Fetch,
  Log,
  Toolkit,
  ToolkitCall,
  ToolkitConnection,
  ToolkitContext,
  ToolkitTest,
  UpstreamTool,
} from './core/ports.ts';
export { Secret } from './core/redact.ts';
export { createLog } from './log.ts';
export { type Platform, type PlatformOptions, startPlatform } from './main.ts';
