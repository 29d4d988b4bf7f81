/** How a device's sessions are kept, and what happens when the device does not behave. All times in milliseconds. */
export interface PoolSettings {
  /** Sessions that are open from the start and kept open. 1 to 64. @defaultValue 1 */
  readonly minSessions: number;
  /** Sessions at most; further ones are opened while calls wait. @defaultValue 4 */
  readonly maxSessions: number;
  /** Calls that wait for a session at most; one more fails with kind `busy` at once. @defaultValue 256 */
  readonly queueCalls: number;
  /** Bytes of all calls that have not ended at most; one more fails with kind `busy` at once. 8 MiB or more. @defaultValue 33,554,432 */
  readonly queueBytes: number;
  /** How long a call waits for a session at most; then kind `busy`. @defaultValue 5,000 */
  readonly acquireTimeoutMs: number;
  /** How long a call may take in the library; then kind `timeout`, and its session is abandoned. @defaultValue 10,000 */
  readonly callDeadlineMs: number;
  /** How long the process may take to open the device, a session to open, or all to close. @defaultValue 30,000 */
  readonly openDeadlineMs: number;
  /** Sessions that may be abandoned in one process; one more and the process is killed and replaced. @defaultValue 1 */
  readonly abandonedSessions: number;
  /** Faults of kind `device`, `comm`, `session` or `timeout` one after the other that open the breaker. @defaultValue 5 */
  readonly breakerFailures: number;
  /** How long the breaker refuses all calls before it lets one through to try. @defaultValue 5,000 */
  readonly breakerCoolDownMs: number;
  /** First wait before a session or the process is opened again; doubles with each failure. @defaultValue 100 */
  readonly reopenFirstMs: number;
  /** Longest such wait. Each wait is drawn from the upper half of its span. @defaultValue 30,000 */
  readonly reopenLongestMs: number;
  /** Times a process may be replaced within {@link restartWindowMs}; then the device is down until it is opened anew. @defaultValue 10 */
  readonly restarts: number;
  /** @defaultValue 600,000 */
  readonly restartWindowMs: number;
}

export const defaultPoolSettings: PoolSettings = {
  minSessions: 1,
  maxSessions: 4,
  queueCalls: 256,
  queueBytes: 32 * 1024 * 1024,
  acquireTimeoutMs: 5_000,
  callDeadlineMs: 10_000,
  openDeadlineMs: 30_000,
  abandonedSessions: 1,
  breakerFailures: 5,
  breakerCoolDownMs: 5_000,
  reopenFirstMs: 100,
  reopenLongestMs: 30_000,
  restarts: 10,
  restartWindowMs: 600_000,
};

const ranges: Readonly<Record<keyof PoolSettings, readonly [least: number, most: number]>> = {
  minSessions: [1, 64],
  maxSessions: [1, 64],
  queueCalls: [1, 65_536],
  queueBytes: [8 * 1024 * 1024, 1024 * 1024 * 1024],
  acquireTimeoutMs: [1, 600_000],
  callDeadlineMs: [1, 600_000],
  openDeadlineMs: [1, 600_000],
  abandonedSessions: [0, 64],
  breakerFailures: [1, 1_000],
  breakerCoolDownMs: [1, 600_000],
  reopenFirstMs: [1, 600_000],
  reopenLongestMs: [1, 600_000],
  restarts: [0, 1_000],
  restartWindowMs: [1, 86_400_000],
};

/**
 * Fills in defaults and checks ranges.
 *
 * @throws {RangeError} Naming the setting that is not a whole number in its range.
 */
export function poolSettings(given: Partial<PoolSettings> = {}): PoolSettings {
  const settings: PoolSettings = { ...defaultPoolSettings, ...given };
  for (const [name, [least, most]] of Object.entries(ranges) as [keyof PoolSettings, readonly [number, number]][]) {
    const value = settings[name];
    if (!Number.isInteger(value) || value < least || value > most)
      throw new RangeError(`${name} must be a whole number from ${least} to ${most}, got ${value}`);
  }
  if (settings.minSessions > settings.maxSessions)
    throw new RangeError(`minSessions ${settings.minSessions} is more than maxSessions ${settings.maxSessions}`);
  return settings;
}
