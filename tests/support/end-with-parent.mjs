// Loaded with --import into a process that a test starts: it ends with the test, even with one that was killed, and is
// not kept alive by that.
process.on('disconnect', () => process.exit(1));
process.channel?.unref();
