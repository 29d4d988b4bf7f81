import type { EventEmitter } from "node:events";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { ChaincodeInterface } from "fabric-shim";
import { fromAbortText } from "../../errors.ts";
import { type AgentQuestions, HostedChaincode } from "./hosted-chaincode.ts";

/**
 * The thread of a hosted chaincode that talks to the peer. Fabric's runtime for chaincode and Fabric's client bring two versions of
 * the same messages, which keep them in one global object of the thread: so each has a thread of its own, and the agent, which needs
 * the client, is in the other.
 */
export interface ThreadData {
  readonly name: string;
  readonly registry: string;
  readonly mspId: string;
}

/** From this thread: `started` once the runtime has read its TLS files, then questions. */
export type FromThread =
  | { readonly kind: "started" }
  | { readonly kind: "command"; readonly id: number; readonly transaction: string; readonly args: readonly string[] }
  | { readonly kind: "invoke"; readonly id: number; readonly signedProposal: Uint8Array };

/** The answer to a question, or why there is none, as the text of an aborted transaction. */
export type ToThread =
  | { readonly id: number; readonly answer: string }
  | { readonly id: number; readonly abort: string };

if (parentPort !== null) await serve(parentPort, workerData as ThreadData);

async function serve(port: MessagePort, data: ThreadData): Promise<void> {
  const { Shim } = (await import("fabric-shim")).default;
  const chaincode = new HostedChaincode({ ...data, agent: questionsOver(port) });
  const client = Shim.start(chaincode as unknown as ChaincodeInterface) as unknown as {
    readonly _stream: EventEmitter;
  };
  // The runtime tells nobody that the peer is gone; it would go on without one.
  for (const event of ["end", "error", "close"]) client._stream.once(event, () => process.exit(0));
  post(port, { kind: "started" });
}

function questionsOver(port: MessagePort): AgentQuestions {
  const waiting = new Map<number, PromiseWithResolvers<string>>();
  let last = 0;
  port.on("message", (message: ToThread) => {
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if ("answer" in message) asked?.resolve(message.answer);
    else asked?.reject(fromAbortText(message.abort) ?? new Error(message.abort));
  });
  const ask = (toMessage: (id: number) => FromThread): Promise<string> => {
    last += 1;
    const asked = Promise.withResolvers<string>();
    waiting.set(last, asked);
    post(port, toMessage(last));
    return asked.promise;
  };
  return {
    command: (transaction, args) => ask((id) => ({ kind: "command", id, transaction, args })),
    invoke: (signedProposal) => ask((id) => ({ kind: "invoke", id, signedProposal })),
  };
}

function post(port: MessagePort, message: FromThread): void {
  port.postMessage(message);
}
