import { Worker } from "node:worker_threads";
import { DeviceFault } from "../native/fault.ts";
import { type GroupCall, type GroupOutcome, mostGroups, mostInGroup, type RunningGroup } from "../native/program.ts";
import { ownFault } from "./errors.ts";
import {
  callBytes,
  callMarks,
  digestBytes,
  publicKeyBytes,
  type SignedGroup,
  type SigningGroup,
  type SigningThreadData,
  signatureBytes,
  threadReady,
  writeCall,
} from "./signing-group.ts";
import { argumentOf } from "./wire.ts";

const threadModule = new URL(
  import.meta.url.endsWith(".ts") ? "./signing-thread.ts" : "./signing-thread.js",
  import.meta.url,
);

/** The thread keeps next to nothing from one group to the next. */
const heapMegabytes = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: 32 };

/**
 * The signing thread of one session, from the side of the device's process; started at the first group. Groups end in the order in
 * which they were given.
 */
export class SessionSigning {
  readonly #settings: Omit<SigningThreadData, "marks">;
  readonly #marks = new Int32Array(new SharedArrayBuffer(mostGroups * mostInGroup * Int32Array.BYTES_PER_ELEMENT));
  readonly #groups: PromiseWithResolvers<SignedGroup>[] = [];
  #worker: Worker | undefined;
  #isReady = false;
  #nextGroup = 0;
  #ended: DeviceFault | undefined;

  constructor(settings: Omit<SigningThreadData, "marks">) {
    this.#settings = settings;
  }

  /** The thread is there: a group that is given now begins at once. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Starts the thread, if it has not been, for groups to come. */
  prepare(): void {
    if (this.#ended === undefined) this.#worker ??= this.#start();
  }

  /**
   * Signs what each call asks for, and reads the keys again after that.
   *
   * @param calls - Each with key index, digest, and the X ‖ Y that the card must show.
   */
  run(calls: readonly GroupCall[]): RunningGroup {
    const firstMark = this.#nextGroup * mostInGroup;
    this.#nextGroup = (this.#nextGroup + 1) % mostGroups;
    const faults = new Array<DeviceFault | undefined>(calls.length);
    const bytes = Buffer.alloc(calls.length * callBytes);
    for (const [at, { args }] of calls.entries()) {
      const mark = firstMark + at;
      Atomics.store(this.#marks, mark, callMarks.waiting);
      try {
        writeCall(
          bytes,
          at,
          argumentOf(args, 0, 4),
          argumentOf(args, 1, digestBytes),
          argumentOf(args, 2, publicKeyBytes),
        );
      } catch (error) {
        if (!(error instanceof DeviceFault)) throw error;
        faults[at] = error;
        Atomics.store(this.#marks, mark, callMarks.revoked);
      }
    }
    const group = Promise.withResolvers<SignedGroup>();
    if (this.#ended === undefined) {
      this.#groups.push(group);
      this.#worker ??= this.#start();
      this.#worker.postMessage({ firstMark, calls: bytes } satisfies SigningGroup);
    } else group.reject(this.#ended);
    return {
      outcomes: group.promise.then((signed) => calls.map((_, at) => faults[at] ?? outcomeOf(signed, at))),
      revoke: (at) => {
        const { waiting, revoked } = callMarks;
        return Atomics.compareExchange(this.#marks, firstMark + at, waiting, revoked) === waiting;
      },
    };
  }

  /** Ends the thread, which must be idle. */
  async end(): Promise<void> {
    await this.#worker?.terminate();
  }

  /** What is posted to it before it has loaded the library waits. */
  #start(): Worker {
    const workerData: SigningThreadData = { ...this.#settings, marks: this.#marks };
    const worker = new Worker(threadModule, { workerData, env: {}, resourceLimits: heapMegabytes });
    worker.on("message", (message: SignedGroup | typeof threadReady) => {
      if (message === threadReady) this.#isReady = true;
      else this.#groups.shift()?.resolve(message);
    });
    const end = () =>
      this.#end(ownFault("device", "SIGNING_THREAD_ENDED", "the thread that signs for a session ended"));
    for (const event of ["error", "exit", "messageerror"]) worker.on(event, end);
    return worker;
  }

  #end(fault: DeviceFault): void {
    this.#isReady = false;
    this.#ended ??= fault;
    for (const group of this.#groups.splice(0)) group.reject(this.#ended);
  }
}

function outcomeOf({ signatures, unsigned }: SignedGroup, at: number): GroupOutcome {
  const fault = unsigned?.[at];
  if (fault === null) return undefined;
  if (fault !== undefined) return new DeviceFault(fault);
  return [Buffer.from(signatures.subarray(at * signatureBytes, (at + 1) * signatureBytes))];
}
