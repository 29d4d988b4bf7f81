/** What a measured process has used so far. */
export interface Stats {
  readonly cpuMs: number;
  readonly rssMiB: number;
}

/** Answers each message with this process's {@link Stats}. */
export function answerStats(): void {
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMs: (user + system) / 1000, rssMiB: process.memoryUsage.rss() / 2 ** 20 } satisfies Stats);
  });
}
