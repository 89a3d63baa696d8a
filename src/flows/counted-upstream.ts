import type { ToolkitConnection } from '../core/ports.ts';

export type CountedUpstream = {
  upstream: ToolkitConnection;
  /** Resolves when no request is under way. */
  idle(): Promise<void>;
};

/** An upstream whose requests are counted, so that it can be closed behind the last one. */
export function countedUpstream(upstream: ToolkitConnection): CountedUpstream {
  let running = 0;
  let waiting: Array<() => void> = [];
  const over = () => {
    running -= 1;
    if (running > 0) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const { subscribe, handle } = upstream;
  return {
    upstream: {
      async request(method, params, call) {
        running += 1;
        try {
          return await upstream.request(method, params, call);
        } finally {
          over();
        }
      },
      ...(subscribe ? { subscribe: subscribe.bind(upstream) } : {}),
      ...(handle ? { handle: handle.bind(upstream) } : {}),
      onChange: (listener) => upstream.onChange(listener),
      test: (signal) => upstream.test(signal),
      close: () => upstream.close(),
    },
    idle: () =>
      new Promise((resolve) => {
        if (running === 0) resolve();
        else waiting.push(resolve);
      }),
  };
}
