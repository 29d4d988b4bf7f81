import { DatabaseSync, type StatementSync } from "node:sqlite";
import { StateReader } from "./state-database.ts";

/** Where more chaincodes than this run at once, further connections are opened for them, and closed after it. */
const mostIdle = 4;

/** Gives views of a peer's state that do not move while a chaincode runs. Opening a database takes as long as many reads of it. */
export class StateSnapshots implements Disposable {
  readonly #path: string;
  readonly #idle: StateSnapshot[] = [];
  #isClosed = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** The state as it is now, until it is disposed of. */
  take(): StateSnapshot {
    const snapshot = this.#idle.pop() ?? new StateSnapshot(this.#path, (done) => this.#takeBack(done));
    try {
      snapshot.begin();
      return snapshot;
    } catch (error) {
      snapshot.close();
      throw error;
    }
  }

  #takeBack(snapshot: StateSnapshot): void {
    if (this.#isClosed || this.#idle.length >= mostIdle) snapshot.close();
    else this.#idle.push(snapshot);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const snapshot of this.#idle.splice(0)) snapshot.close();
  }
}

/** One view, by a connection of its own. */
export class StateSnapshot extends StateReader implements Disposable {
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #fix: StatementSync;
  readonly #end: StatementSync;
  readonly #done: (snapshot: StateSnapshot) => void;

  constructor(path: string, done: (snapshot: StateSnapshot) => void) {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
    super(database, path);
    this.#database = database;
    this.#done = done;
    this.#begin = database.prepare("BEGIN");
    this.#fix = database.prepare("SELECT number FROM head");
    this.#end = database.prepare("COMMIT");
  }

  begin(): void {
    this.#begin.run();
    // The first read is what fixes the view.
    this.#fix.get();
  }

  close(): void {
    this.#database.close();
  }

  [Symbol.dispose](): void {
    this.#end.run();
    this.#done(this);
  }
}
