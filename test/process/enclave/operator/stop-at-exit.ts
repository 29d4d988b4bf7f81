/** Preloaded into a command (`--import`): stops the process at its very end, with all that its memory holds by then. */
process.on("exit", () => process.kill(process.pid, "SIGSTOP"));
