import { EnclaveError } from "../errors.ts";
import type { LedgerConnection } from "../ledger/ledger.ts";
import { type Release, writeRelease } from "../process/release.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import { type EnclaveStatus, readStatus } from "../stub/enclave-status.ts";
import type { EnclaveCreation } from "../stub/stub.ts";
import { invokeAtPeer, readParts } from "./peer-answers.ts";

/**
 * The agent of an enclave that runs as chaincode beside a peer of the own organisation, reached through the peer's gateway. Closing it
 * ends nothing: the peer has started the agent.
 */
export class PeerAgent implements EnclaveAgent {
  readonly #connection: LedgerConnection;
  readonly #chaincode: string;
  #credentials: Buffer | undefined;

  private constructor(connection: LedgerConnection, chaincode: string) {
    this.#connection = connection;
    this.#chaincode = chaincode;
  }

  /** @throws EnclaveError UNAUTHORIZED: the connection is no admin's; LEDGER_UNAVAILABLE: the peer runs no such chaincode */
  static async open(connection: LedgerConnection, chaincode: string): Promise<PeerAgent> {
    const agent = new PeerAgent(connection, chaincode);
    agent.#credentials = await agent.#one("__credentials").catch((error: unknown) => {
      if (error instanceof EnclaveError && error.code === "NOT_FOUND") return undefined;
      throw error;
    });
    return agent;
  }

  get created(): boolean {
    return this.#credentials !== undefined;
  }

  credentials(): Buffer {
    if (this.#credentials === undefined)
      throw new EnclaveError("NOT_FOUND", `no enclave was created beside the peer of ${this.#connection.mspId}`, {
        hint: "create one (initEnclave)",
      });
    return this.#credentials;
  }

  async initEnclave({ ccParams, hostParams, channelHash, trustedLedger }: EnclaveCreation): Promise<Buffer> {
    this.#credentials = await this.#one("__initEnclave", ccParams, hostParams, channelHash, trustedLedger);
    return this.#credentials;
  }

  async attestAgain(sequence?: bigint): Promise<Buffer> {
    const credentials = await this.#one("__attestAgain", ...numberPart(sequence));
    // The agent keeps these as well.
    if (sequence !== undefined) this.#credentials = credentials;
    return credentials;
  }

  generateCCKeys(): Promise<Buffer> {
    return this.#one("__generateCCKeys");
  }

  reEmitRegistration(generation?: bigint): Promise<Buffer> {
    return this.#one("__reEmitRegistration", ...numberPart(generation));
  }

  async discardNeverRegisteredKeys(): Promise<readonly bigint[]> {
    return (await this.#call("__discardNeverRegisteredKeys")).map((number) => BigInt(number.toString("latin1")));
  }

  exportCCKeys(credentials: Uint8Array, generation?: bigint): Promise<Buffer> {
    return this.#one("__exportCCKeys", credentials, ...numberPart(generation));
  }

  importCCKeys(signedExport: Uint8Array): Promise<Buffer> {
    return this.#one("__importCCKeys", signedExport);
  }

  proposeGeneration(): Promise<Buffer> {
    return this.#one("__proposeGeneration");
  }

  issueRecovery(): Promise<Buffer> {
    return this.#one("__issueRecovery");
  }

  checkRecovery(issue: bigint): Promise<Buffer> {
    return this.#one("__checkRecovery", ...numberPart(issue));
  }

  recover(): Promise<Buffer> {
    return this.#one("__recover");
  }

  async compareWithLedger(): Promise<void> {
    await this.#call("__compareWithLedger");
  }

  async status(): Promise<EnclaveStatus> {
    return readStatus(await this.#one("__status"));
  }

  invoke(proposal: Uint8Array): Promise<Buffer> {
    return invokeAtPeer(this.#connection, this.#connection.mspId, proposal);
  }

  release(release: Release): Promise<Buffer> {
    return this.#one("__release", ...writeRelease(release));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing of it is here.
  }

  async #one(transaction: string, ...parts: readonly Uint8Array[]): Promise<Buffer> {
    const [answer] = await this.#call(transaction, ...parts);
    if (answer === undefined) throw new EnclaveError("MALFORMED", `${transaction} answered nothing`);
    return answer;
  }

  async #call(transaction: string, ...parts: readonly Uint8Array[]): Promise<readonly Buffer[]> {
    const args = parts.map((part) => Buffer.from(part).toString("base64"));
    return readParts(await this.#connection.evaluate(this.#chaincode, transaction, args), transaction);
  }
}

function numberPart(number: bigint | undefined): readonly Buffer[] {
  return number === undefined ? [] : [Buffer.from(`${number}`)];
}
