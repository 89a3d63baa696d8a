/** What a toolkit author and an embedding program may use; everything else is inside. */
export { type Config, loadConfig } from './config.ts';
export { type ConnectionConfig, type ConnectionKey, checkSharedConfig, sharedConfigShape } from './core/connection.ts';
export { AppError, type ErrorCode } from './core/errors.ts';
export type {
  Fetch,
  ListKind,
  Log,
  PlainRequest,
  Toolkit,
  ToolkitCall,
  ToolkitClient,
  ToolkitConnection,
  ToolkitContext,
  ToolkitTest,
  UpstreamTool,
} from './core/ports.ts';
export { Secret } from './core/redact.ts';
export { RpcError } from './core/rpc-error.ts';
export { createPlatform, type PlatformBuilder } from './embedded-platform.ts';
export { createLog } from './log.ts';
export type { Platform } from './main.ts';
export type { ToolkitKit, ToolkitModule } from './toolkit-modules.ts';
export { type AuthorizedFetch, type AuthorizedInit, createAuthorizedFetch } from './toolkits/authorized-fetch.ts';
