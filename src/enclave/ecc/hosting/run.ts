import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { PrivateChaincode, RunMetadata } from "../../ercc/external-builder/private-chaincode.ts";
import { EnclaveError, toAbortText } from "../../errors.ts";
import { answerChaincode } from "../../operator/confidential-call.ts";
import { FabricMember } from "../../operator/fabric-member.ts";
import { callAgent } from "./agent-calls.ts";
import type { FromThread, ThreadData, ToThread } from "./peer-thread.ts";
import { writePeerTls } from "./peer-tls.ts";

/** Names the builder's folder: of each private chaincode a folder with connection settings, beside which the sealed keys are. */
export const builderFolderVariable = "STRONGROOM_BUILDER_FOLDER";
const threadModule = new URL(
  import.meta.url.endsWith(".ts") ? "./peer-thread.ts" : "./peer-thread.js",
  import.meta.url,
);
/** The enclave that a peer's chaincode has. */
const enclaveName = "main";

/**
 * Runs a private chaincode for the peer that starts it: connects to the peer, and is its organisation's agent of the enclave, whose
 * sealed keys are in the builder's folder. Returns when the peer ends the stream, or this process is told to end.
 *
 * @param folder - The builder's; `<folder>/<chaincode>/connection.json` are the connection settings of the peer's organisation.
 * @throws EnclaveError SETTINGS_INVALID: the settings are of another organisation, chaincode or registry, or name no host of enclaves;
 *   CONFLICT: another agent has the enclave
 */
export async function runPrivateChaincode(
  folder: string,
  { chaincode: name, registry }: PrivateChaincode,
  peer: RunMetadata,
): Promise<void> {
  const own = join(folder, name);
  const { mspid: mspId } = peer;
  await using member = await FabricMember.open(join(own, "connection.json"));
  const { client } = member;
  if (member.mspId !== mspId || client.chaincodeId !== name || client.registry !== registry)
    throw new EnclaveError(
      "SETTINGS_INVALID",
      `the connection settings are of ${client.chaincodeId} under ${client.registry} for ${member.mspId}, ` +
        `and the peer runs ${name} under ${registry} for ${mspId}`,
    );
  if (!member.isOwnHost)
    throw new EnclaveError(
      "SETTINGS_INVALID",
      "the connection settings of a peer's chaincode need a host of kind folder",
    );
  member.keyManagers?.choose(enclaveName, undefined);
  await using agent = await member.agent(enclaveName);
  await talkToPeer({ name, registry, mspId }, own, peer, async (question) => {
    if (question.kind === "command") return await callAgent(agent, question.transaction, question.args);
    const answerer = (what: string, parts: readonly Buffer[]) => answerChaincode(client, what, parts);
    return (await agent.invoke(question.signedProposal, answerer)).toString("base64");
  });
}

type Question = Exclude<FromThread, { kind: "started" }>;

/** Returns when the peer has ended the stream, or this process is told to end. */
async function talkToPeer(
  data: ThreadData,
  folder: string,
  peer: RunMetadata,
  answer: (question: Question) => Promise<string>,
): Promise<void> {
  using tls = writePeerTls(folder, peer);
  const worker = new Worker(threadModule, {
    workerData: data,
    argv: ["--peer.address", peer.peer_address, "--chaincode-id-name", peer.chaincode_id],
    env: tls.environment,
  });
  worker.on("message", async (message: FromThread) => {
    if (message.kind === "started") return tls[Symbol.dispose]();
    const { id } = message;
    const reply: ToThread = await answer(message).then(
      (text) => ({ id, answer: text }),
      (error: unknown) => ({ id, abort: error instanceof EnclaveError ? toAbortText(error) : String(error) }),
    );
    worker.postMessage(reply);
  });
  const ended = Promise.withResolvers<void>();
  worker.once("error", ended.reject);
  worker.once("exit", () => ended.resolve());
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => ended.resolve());
  await ended.promise;
  await worker.terminate();
}
