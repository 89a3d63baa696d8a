// Runs one PostgreSQL and ends it when the process that forked this one disconnects, be it by `kill -9`. It is a
// session leader of its own, so that an interrupt typed at the terminal reaches the tests and not the cleaning up.
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** @typedef {{ home: string, program: string, args: string[], env: Record<string, string>, identity: { uid?: number, gid?: number }, keepOnFailure: boolean }} Plan */

process.once('message', (message) => keep(/** @type {Plan} */ (message)));
// Until the plan is there, nothing is to be cleaned up.
process.once('disconnect', leave);

function leave() {
  process.exit(0);
}

/** @param {Plan} plan */
function keep({ home, program, args, env, identity, keepOnFailure }) {
  process.off('disconnect', leave);
  const server = spawn(program, args, { cwd: home, env, stdio: ['ignore', 'ignore', 'pipe'], ...identity });
  let ready = false;
  let kept = false;
  /** @type {string[]} */
  const said = [];
  createInterface({ input: server.stderr }).on('line', (line) => {
    if (ready) return;
    said.push(line);
    ready = line.includes('database system is ready to accept connections');
    if (ready) process.send?.({ ready, said: '' });
  });
  // SIGQUIT is PostgreSQL's immediate shutdown: it waits for no client.
  process.once('disconnect', () => server.kill('SIGQUIT'));
  // Any second message: a crash, after which somebody starts it again on the same data.
  process.once('message', () => {
    kept = true;
    server.kill('SIGQUIT');
  });
  server.once('error', (error) => said.push(error.message));
  server.once('close', async () => {
    if (process.connected && !ready) process.send?.({ ready, said: said.slice(-5).join(' / ') });
    const ended = ready ? !kept : !keepOnFailure || !process.connected;
    if (ended) await rm(home, { recursive: true, force: true, maxRetries: 5 });
    process.exit(0);
  });
}
