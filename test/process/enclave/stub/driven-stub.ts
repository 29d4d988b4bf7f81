import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { decodeQuestion } from "../../../../src/enclave/process/ledger-questions.ts";
import type { World } from "../../../unit/enclave/process/world.ts";
import type { DriverAnswer, DriverMessage, DriverOrder } from "./stub-driver.ts";

const driver = fileURLToPath(new URL("./stub-driver.ts", import.meta.url));

export type DrivenEnd =
  | { readonly end: "done"; readonly result: Buffer }
  | { readonly end: "refused"; readonly code: string }
  | { readonly end: "killed" };

/** A stub in a process of its own; the test's world answers for the ledger. */
export class DrivenStub {
  readonly #child: ChildProcess;
  /** Of the enclave that it started; 0 before. */
  enclavePid = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static start(): DrivenStub {
    return new DrivenStub(fork(driver, { stdio: ["ignore", "ignore", "inherit", "ipc"] }));
  }

  /** One action of a stub that may be killed on the way; the process is left running where it isn't. */
  static async run(world: World, order: DriverOrder): Promise<{ readonly end: DrivenEnd; readonly stub: DrivenStub }> {
    const stub = DrivenStub.start();
    return { stub, end: await stub.#run(world, order) };
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  #run(world: World, order: DriverOrder): Promise<DrivenEnd> {
    return new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("exit", () => resolve({ end: "killed" }));
      this.#child.on("message", (message: DriverMessage) => {
        if (message.kind === "enclave") this.enclavePid = message.pid;
        else if (message.kind === "done") resolve({ end: "done", result: Buffer.from(message.result, "base64") });
        else if (message.kind === "refused") resolve({ end: "refused", code: message.code });
        else this.#answer(world, message.number, message.parts).catch(reject);
      });
      this.#child.send(order);
    });
  }

  async #answer(world: World, number: number, parts: readonly string[]): Promise<void> {
    const answer = await world.exchange(decodeQuestion(parts.map((part) => Buffer.from(part, "base64"))));
    const text = answer.map((part) => Buffer.from(part).toString("base64"));
    this.#child.send({ kind: "answer", number, parts: text } satisfies DriverAnswer);
  }

  /** Ends it as a crash would, and waits until it and its enclave are gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended();
  }

  async ended(): Promise<void> {
    while (this.#child.exitCode === null && this.#child.signalCode === null) await wait(10);
    while (this.enclavePid > 0 && isRunning(this.enclavePid)) await wait(10);
  }
}

/** Whether there is such a process; one that has ended and that nobody has waited for (a zombie) is none. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
