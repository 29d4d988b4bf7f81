/** Work in small steps of a few milliseconds at most. What a step yields: after how many milliseconds to go on; undefined: at once. */
export type SlicedWork = Iterator<number | undefined, void>;

interface Task {
  readonly work: SlicedWork;
  readonly isWanted: () => boolean;
  readonly failed: (error: unknown) => void;
  dueAtMs: number;
}

/** While requests wait, a slice is this long at least, and the pause behind it so much longer that they hardly notice. */
const leastSliceMs = 2;
const pauseMs = 18;
/** Without requests; then the control has its turn. */
const longestSliceMs = 50;

/** Long work, done between a mount's requests and a little beside them, so that neither starves. */
export class SlicedTasks {
  readonly #requestWaits: () => boolean;
  readonly #nowMs: () => number;
  readonly #tasks = new Set<Task>();

  /** @param requestWaits - Asked after each step. @param nowMs - A clock that never goes back. */
  constructor(requestWaits: () => boolean, nowMs: () => number = () => performance.now()) {
    this.#requestWaits = requestWaits;
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#tasks.size;
  }

  /**
   * @param failed - Told of what a step throws; the task has then ended.
   * @param isWanted - Asked before each step; a task that nobody wants any more ends.
   */
  add(work: SlicedWork, failed: (error: unknown) => void, isWanted: () => boolean = () => true): void {
    this.#tasks.add({ work, isWanted, failed, dueAtMs: 0 });
  }

  /** Makes those that wait for their time go on at once. */
  hurry(): void {
    for (const task of this.#tasks) task.dueAtMs = 0;
  }

  /** Does a slice. @returns After how many milliseconds to be called again; undefined when there is nothing to do. */
  run(): number | undefined {
    const beganMs = this.#nowMs();
    while (this.#tasks.size > 0) {
      const nowMs = this.#nowMs();
      let nextMs = Number.POSITIVE_INFINITY;
      for (const task of this.#tasks) {
        if (task.dueAtMs <= nowMs) this.#step(task);
        if (this.#tasks.has(task)) nextMs = Math.min(nextMs, task.dueAtMs);
      }
      const atMs = this.#nowMs();
      if (nextMs > atMs) return Number.isFinite(nextMs) ? nextMs - atMs : undefined;
      if (atMs - beganMs >= longestSliceMs) return 0;
      if (atMs - beganMs >= leastSliceMs && this.#requestWaits()) return pauseMs;
    }
    return undefined;
  }

  #step(task: Task): void {
    try {
      if (!task.isWanted()) {
        this.#tasks.delete(task);
        task.work.return?.();
        return;
      }
      const { done, value } = task.work.next();
      if (done === true) this.#tasks.delete(task);
      else task.dueAtMs = value === undefined ? 0 : this.#nowMs() + value;
    } catch (error) {
      this.#tasks.delete(task);
      task.failed(error);
    }
  }
}
