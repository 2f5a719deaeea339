/* Preloaded into a measured server: answers each message with the CPU time that the process has used, in ms. */
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.((user + system) / 1000);
});
