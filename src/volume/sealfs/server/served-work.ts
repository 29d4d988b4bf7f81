import type { SocketCalls } from "../control/socket-calls.ts";
import { ControlRequests } from "./control-requests.ts";
import type { AnswerRequest } from "./control-server.ts";
import type { Findings } from "./findings.ts";
import { IdleWork } from "./idle-work.ts";
import type { OpenedVolume } from "./opened-volume.ts";
import type { OwnerChannel } from "./owner-channel.ts";
import { ResealingJob } from "./resealing-job.ts";
import { settleSessions } from "./settling.ts";
import { SlicedTasks } from "./sliced-tasks.ts";

/** A table is written anew so long after the last folder with a zone was removed. */
const settleDelayMs = 1000;

export interface ServedVolume {
  readonly volume: OpenedVolume;
  readonly sockets: SocketCalls;
  /** Where the requests of the mount come from. */
  readonly descriptor: number;
  readonly findings: Findings;
  readonly report: (what: string) => void;
  readonly owner?: OwnerChannel;
}

/** What the server of a volume does beside answering its mount. */
export class ServedWork {
  readonly #requests: ControlRequests;
  readonly #idle = new IdleWork();
  /** What was asked may give work, or make work that waits go on. */
  readonly #hurry: () => void;

  constructor({ volume, sockets, descriptor, findings, report, owner }: ServedVolume) {
    const { tree, keys } = volume;
    const tasks = new SlicedTasks(() => sockets.waitForInput(descriptor, 0) > 0);
    const resealing = new ResealingJob({ tree, keys, tasks, report });
    const answering = { tree, keys, tasks, resealing, findings, ...(owner === undefined ? {} : { owner }) };
    this.#requests = new ControlRequests(answering);
    this.#hurry = this.#idle.add(() => tasks.run());
    let removedAtMs: number | undefined;
    this.#idle.add(() => {
      if (!keys.table.mustBeWritten) return undefined;
      removedAtMs ??= performance.now();
      if (performance.now() - removedAtMs < settleDelayMs) return settleDelayMs;
      removedAtMs = undefined;
      keys.table.settle();
      return undefined;
    });
    this.#idle.add(() => volume.syncWhenDue());
    if (!volume.wasClean)
      tasks.add(settleSessions(volume, report), (error) => {
        report(`sessions-kept: ${error instanceof Error ? error.message : "it failed"}`);
      });
    resealing.begin();
  }

  get answer(): AnswerRequest {
    return (request, answer, isThere) => {
      this.#requests.answer(request, answer, isThere);
      this.#hurry();
    };
  }

  /** Does a little. @returns After how many milliseconds to call again; undefined: when something else has happened. */
  idle(): number | undefined {
    return this.#idle.run();
  }

  close(): void {
    this.#requests.close();
  }
}
