import type { CallOptions, Client } from "@grpc/grpc-js";
import type { Gateway, Network } from "@hyperledger/fabric-gateway";
import { EnclaveError } from "../../errors.ts";
import type { CommittedTransaction, LedgerConnection, LedgerIdentity } from "../ledger.ts";
import type { CallTimeoutsMs } from "./fabric-ledger.ts";
import { checkCommitted, fromGateway } from "./failures.ts";
import { toProposalResponse, toProposedTransaction } from "./foreign-proposal.ts";

/** One identity's connection to a channel of Fabric, through the gateway of its organisation's peer. */
export class FabricConnection implements LedgerConnection {
  readonly channelId: string;
  readonly mspId: string;
  readonly #gateway: Gateway;
  readonly #network: Network;

  private constructor(gateway: Gateway, channelId: string, mspId: string) {
    this.channelId = channelId;
    this.mspId = mspId;
    this.#gateway = gateway;
    this.#network = gateway.getNetwork(channelId);
  }

  /** @param client - Shared: closing the connection leaves it open. */
  static async open(
    client: Client,
    channelId: string,
    identity: LedgerIdentity,
    timeoutsMs: CallTimeoutsMs,
  ): Promise<FabricConnection> {
    const { connect, hash } = await import("@hyperledger/fabric-gateway");
    const gateway = connect({
      client,
      identity: { mspId: identity.mspId, credentials: Buffer.from(identity.certificate) },
      signer: identity.sign,
      hash: hash.none,
      evaluateOptions: within(timeoutsMs.evaluate),
      endorseOptions: within(timeoutsMs.endorse),
      submitOptions: within(timeoutsMs.submit),
      commitStatusOptions: within(timeoutsMs.commit),
    });
    return new FabricConnection(gateway, channelId, identity.mspId);
  }

  async evaluate(chaincode: string, transaction: string, args: readonly (string | Uint8Array)[]): Promise<Buffer> {
    try {
      // Of the own organisation only: the peers of others may not have the chaincode, and are not asked unless they endorse.
      const options = { arguments: [...args], endorsingOrganizations: [this.mspId] };
      return Buffer.from(await this.#network.getContract(chaincode).evaluate(transaction, options));
    } catch (error) {
      throw fromGateway(error, `${chaincode} did not answer ${transaction}`);
    }
  }

  async submit(chaincode: string, transaction: string, args: readonly string[]): Promise<CommittedTransaction> {
    let txId = "";
    try {
      const proposal = this.#network.getContract(chaincode).newProposal(transaction, { arguments: [...args] });
      txId = proposal.getTransactionId();
      const endorsed = await proposal.endorse();
      const submitted = await endorsed.submit();
      const status = await submitted.getStatus();
      checkCommitted(txId, status);
      return { txId, blockNumber: status.blockNumber, result: Buffer.from(submitted.getResult()) };
    } catch (error) {
      const isSubmitted = error instanceof Error && ["SubmitError", "CommitStatusError"].includes(error.name);
      const what = isSubmitted
        ? `whether transaction ${txId} was committed is not known`
        : `${chaincode} did not endorse`;
      throw fromGateway(error, what);
    }
  }

  /**
   * Each organisation is asked by a call of its own, so that one which is away, or answers otherwise, is no other's matter.
   *
   * @throws EnclaveError what the first organisation refused with, where none answered
   */
  async endorse(proposal: Uint8Array, organisations: readonly string[]): Promise<readonly Uint8Array[]> {
    const calls = await Promise.allSettled(
      organisations.map(async (mspId) => {
        const proposed = this.#gateway.newProposal(await toProposedTransaction(proposal, mspId));
        return await toProposalResponse((await proposed.endorse()).getBytes());
      }),
    );
    const answers = calls.flatMap((call) => (call.status === "fulfilled" ? [call.value] : []));
    const failure = calls.find((call) => call.status === "rejected");
    if (answers.length === 0 && failure !== undefined)
      throw fromGateway(failure.reason, "no organisation's peer endorsed a proposal");
    return answers;
  }

  /** @throws EnclaveError LEDGER_UNAVAILABLE, when the stream breaks: go on from the block after the last */
  async *blocks(from: bigint, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    if (signal?.aborted) return;
    let next = from;
    const events = await this.#network.getBlockEvents({ startBlock: from }).catch((error) => {
      throw fromGateway(error, "the peer gives no blocks");
    });
    const stop = () => events.close();
    signal?.addEventListener("abort", stop);
    try {
      // Nobody heard an abort while the stream was opened. The loop takes the error that the end is.
      if (signal?.aborted) stop();
      for await (const block of events) {
        const number = BigInt(block.getHeader()?.getNumber() ?? -1);
        if (number !== next)
          throw new EnclaveError("LEDGER_UNAVAILABLE", `the peer gave block ${number} where ${next} follows`);
        next++;
        yield block.serializeBinary();
      }
      if (!signal?.aborted) throw new EnclaveError("LEDGER_UNAVAILABLE", "the peer ended its stream of blocks");
    } catch (error) {
      if (!signal?.aborted) throw fromGateway(error, "the peer's stream of blocks broke");
    } finally {
      signal?.removeEventListener("abort", stop);
      events.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#gateway.close();
  }
}

function within(timeoutMs: number): () => CallOptions {
  return () => ({ deadline: Date.now() + timeoutMs });
}
