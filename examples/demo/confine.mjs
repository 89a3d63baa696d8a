// Loaded with --import into a server that is not ours: it listens on loopback only, tells its parent the port that it
// got, and ends with its parent.
import { Server } from 'node:net';

const listen = Server.prototype.listen;

/** @this {Server} @param {...any} given the port (perhaps as text) and, somewhere after it, a callback */
Server.prototype.listen = function listenOnLoopback(...given) {
  const callback = given.find((argument) => typeof argument === 'function');
  this.once('listening', () => {
    const address = this.address();
    if (address !== null && typeof address === 'object') process.send?.(address.port);
  });
  return listen.call(this, { port: Number(given[0]), host: '127.0.0.1' }, callback);
};

process.on('disconnect', () => process.exit(0));
if (process.connected === false) process.exit(0);
