/** One thing that a file system must do, tried in an empty folder of its own. Throws an AssertionError when it does not. */
export interface Behaviour {
  /** A sentence. */
  readonly name: string;
  run(folder: string): void;
}
