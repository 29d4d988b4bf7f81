/**
 * A stub in a process of its own, driven over IPC, so that it can be killed: `node stub-driver.ts`. The test that started it
 * answers for the ledger.
 */
import { encodeQuestion } from "../../../../src/enclave/process/ledger-questions.ts";
import { Stub } from "../../../../src/enclave/stub/stub.ts";
import { type DrivenAction, runAction } from "./driven-actions.ts";

export interface DriverOrder {
  readonly folder: string;
  readonly entry: string;
  /** Ends itself with SIGKILL at this step of the folder's, counted from 1. */
  readonly killAt?: number;
  readonly action: DrivenAction | "createAndGenerate";
  /** Base64. */
  readonly parts: readonly string[];
}

export type DriverMessage =
  | { readonly kind: "question"; readonly number: number; readonly parts: readonly string[] }
  | { readonly kind: "enclave"; readonly pid: number }
  | { readonly kind: "done"; readonly result: string }
  | { readonly kind: "refused"; readonly code: string };

export interface DriverAnswer {
  readonly kind: "answer";
  readonly number: number;
  readonly parts: readonly string[];
}

const toText = (parts: readonly Uint8Array[]) => parts.map((part) => Buffer.from(part).toString("base64"));
const toBytes = (parts: readonly string[]) => parts.map((part) => Buffer.from(part, "base64"));
const tell = (message: DriverMessage) => process.send?.(message);

const waiting = new Map<number, (parts: readonly Buffer[]) => void>();
let asked = 0;
let steps = 0;

process.on("message", (message: DriverAnswer | DriverOrder) => {
  if ("kind" in message) waiting.get(message.number)?.(toBytes(message.parts));
  else void obey(message);
});

async function obey({ folder, entry, killAt, action, parts }: DriverOrder): Promise<void> {
  try {
    const stub = await Stub.open({
      folder,
      tee: { kind: "process", platform: "/" },
      entry: new URL(entry),
      exchange: (question) => {
        asked += 1;
        const number = asked;
        return new Promise((resolve) => {
          waiting.set(number, resolve);
          tell({ kind: "question", number, parts: toText(encodeQuestion(question)) });
        });
      },
      reached: () => {
        steps += 1;
        if (steps === killAt) process.kill(process.pid, "SIGKILL");
      },
    });
    tell({ kind: "enclave", pid: await stub.pid() });
    tell({ kind: "done", result: (await act(stub, action, toBytes(parts))).toString("base64") });
  } catch (error) {
    tell({ kind: "refused", code: String((error as { code?: string }).code ?? error) });
  }
}

async function act(stub: Stub, action: DriverOrder["action"], parts: readonly Buffer[]): Promise<Buffer> {
  if (action !== "createAndGenerate") return runAction(stub, action, parts);
  await runAction(stub, "initEnclave", parts);
  return stub.generateCCKeys();
}
