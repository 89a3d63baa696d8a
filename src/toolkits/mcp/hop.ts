import { connectionLabel } from '../../core/connection.ts';
import { AppError } from '../../core/errors.ts';
import { isRecord } from '../../core/json-shape.ts';
import type { ToolkitCall, ToolkitContext } from '../../core/ports.ts';
import { RpcError } from '../../core/rpc-error.ts';
import { undeclared } from './capabilities.ts';
import type { Params } from './wire.ts';

/** Keys of `_meta` that speak for one hop alone: identity, version and capabilities of whoever sends. */
const HOP_PREFIX = 'io.modelcontextprotocol/';
const SERVER_INFO = `${HOP_PREFIX}serverInfo`;
/** @see https://modelcontextprotocol.io/specification/2026-07-28/basic */
const MISSING_CAPABILITY = -32021;
const INTERNAL = -32603;
const UNKNOWN = new Set([-32601, -32602]);

/** The caller's parameters without what a caller may not say for us. */
export function withoutHopMeta(params: Params): Params {
  if (params._meta === undefined) return params;
  const { _meta, ...rest } = params;
  if (!isRecord(_meta)) return rest;
  const kept = Object.entries(_meta).filter(([key]) => !key.startsWith(HOP_PREFIX) && key !== 'progressToken');
  return kept.length > 0 ? { ...rest, _meta: Object.fromEntries(kept) } : rest;
}

/**
 * The upstream's result as it is, without what only concerned the hop between it and us.
 * @throws AppError upstream_failed for a result that nobody downstream could follow up.
 */
export function withoutHopResult(context: ToolkitContext, result: Params, call: ToolkitCall): Params {
  const { resultType, ...rest } = result;
  const asks = resultType === 'input_required';
  if (resultType !== undefined && resultType !== 'complete' && !(asks && call.client)) {
    const what = asks ? 'asks for input in the midst of the call, though nobody is there to give it' : undefined;
    const text = `The upstream of ${connectionLabel(context.key)} ${what ?? 'answered with a kind of result that is not supported'}.`;
    throw new AppError('upstream_failed', text);
  }
  const bare = asks ? result : rest;
  if (!isRecord(rest._meta) || !(SERVER_INFO in rest._meta)) return bare;
  const { [SERVER_INFO]: _, ..._meta } = rest._meta;
  if (Object.keys(_meta).length > 0) return { ...bare, _meta };
  const { _meta: __, ...without } = bare;
  return without;
}

/** An upstream that misses something in the client says so to us; what the caller hears must be true of the caller. */
export function translated(context: ToolkitContext, error: unknown, call: ToolkitCall, hiddenTool?: string): unknown {
  if (!(error instanceof RpcError)) return error;
  const label = connectionLabel(context.key);
  if (error.code === MISSING_CAPABILITY) {
    const required = isRecord(error.data) ? error.data.requiredCapabilities : undefined;
    if (!isRecord(required)) {
      const text = `The upstream of ${label} misses a capability of its client, and does not name it.`;
      return new RpcError(INTERNAL, text, { upstream: { code: error.code, message: error.message } });
    }
    const names = Object.keys(required).join(', ');
    const declared = call.client?.capabilities ?? {};
    if (call.client && Object.keys(required).some((name) => !(name in declared))) {
      const text = `This needs a client that supports ${names}, and yours did not declare it.`;
      return new RpcError(MISSING_CAPABILITY, text, { requiredCapabilities: required });
    }
    return new AppError('upstream_failed', `The upstream of ${label} wants a client that supports ${names}.`);
  }
  const missing = undeclared(call.client);
  if (hiddenTool !== undefined && UNKNOWN.has(error.code) && missing.length > 0) {
    const text = `${error.message} (The upstream of ${label} lists the tool ${hiddenTool}, but perhaps not for a client without ${missing.join(', ')}.)`;
    return new RpcError(error.code, text, error.data);
  }
  return error;
}
