/** What a node's log says of a run. */
export interface LogFigures {
  /** Lines `heartBeat,connected count=`. */
  readonly heartbeats: number;
  /** How many there must be from the node's start to the end of the run; one that is due less than `lateMs` ago may still come. */
  readonly expected: number;
  /** The longest time without one, from the node's start to the end of the run. */
  readonly longestGapMs: number;
  /** The least count in the lines of the run; undefined when it has none. */
  readonly leastConnected: number | undefined;
  readonly viewChanges: number;
  /** Lines of the run at `warning` or `error`. */
  readonly warnings: readonly string[];
}

export interface Heartbeat {
  readonly everyMs: number;
  /** How late a line may be. */
  readonly lateMs: number;
}

/**
 * Reads lines `level|YYYY-MM-DD HH:MM:SS.microseconds|message`, in local time.
 *
 * @param beganMs - Unix time at which the load began, and `endedMs` at which it ended.
 */
export function readLog(log: string, beganMs: number, endedMs: number, heartbeat: Heartbeat): LogFigures {
  const lines = log
    .split("\n")
    .map((line) => /^(\w+)\|([^|]+)\|(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, level = "", time = "", message = ""]) => ({ level, atMs: Date.parse(time.replace(" ", "T")), message }))
    .filter(({ atMs }) => atMs <= endedMs);
  const beats = lines.flatMap(({ atMs, message }) => {
    const count = /heartBeat,connected count=(\d+)$/.exec(message)?.[1];
    return count === undefined ? [] : [{ atMs, count: Number(count) }];
  });
  const startedMs = lines.find(({ message }) => message.startsWith("[NODE]started"))?.atMs ?? Number.NaN;
  const counts = beats.filter(({ atMs }) => atMs >= beganMs).map(({ count }) => count);
  const times = [startedMs, ...beats.map(({ atMs }) => atMs), endedMs];
  return {
    heartbeats: beats.length,
    expected: Math.max(0, Math.floor((endedMs - startedMs - heartbeat.lateMs) / heartbeat.everyMs)),
    longestGapMs: Math.max(...times.slice(1).map((atMs, index) => atMs - (times[index] ?? Number.NaN))),
    leastConnected: counts.length === 0 ? undefined : Math.min(...counts),
    viewChanges: lines.filter(({ message }) => message.includes("enterView,")).length,
    warnings: lines.filter(({ level, atMs }) => level !== "info" && atMs >= beganMs).map(({ message }) => message),
  };
}
