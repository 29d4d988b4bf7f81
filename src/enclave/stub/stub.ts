import { join } from "node:path";
import { EnclaveError } from "../errors.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import type { Answerer } from "../process/call-channel.ts";
import { isClientCall } from "../process/client-calls.ts";
import { sha256 } from "../process/identity.ts";
import { type Release, writeRelease } from "../process/release.ts";
import { readSealedBlob } from "../process/sealed-state.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import type { TeeSettings } from "../tee/open-backend.ts";
import type { LedgerExchange } from "../trusted-ledger/exchange.ts";
import { EnclaveFolder, type Reached } from "./enclave-folder.ts";
import { EnclaveProcess, type RunningEnclave } from "./enclave-process.ts";
import { type EnclaveStatus, readStatus } from "./enclave-status.ts";
import { HostAnswers, type InvocationAnswerer } from "./host-answers.ts";
import { StubJournal } from "./journal.ts";

export interface StubOptions {
  /** Of this enclave alone; made where it is not there. */
  readonly folder: string;
  readonly tee: TeeSettings;
  /** Answers what the enclave asks about the ledger. */
  readonly exchange: LedgerExchange;
  /** Module that the enclave's process runs. @defaultValue the enclave of the product */
  readonly entry?: URL;
  /** Starts the enclave, whose calls to its host are answered. @defaultValue in a process of its own, from `entry` */
  readonly start?: (answer: Answerer) => RunningEnclave;
  /** Told of each step; only tests listen. */
  readonly reached?: Reached;
}

/** What an enclave is to be, each as the bytes of its message. */
export interface EnclaveCreation {
  /** fpc.CCParameters; the version is what {@link Stub.status} says is measured. */
  readonly ccParams: Uint8Array;
  /** fpc.HostParameters. */
  readonly hostParams: Uint8Array;
  /** SHA-256 of the channel's genesis block. */
  readonly channelHash: Uint8Array;
  /** TrustedLedgerParameters. */
  readonly trustedLedger: Uint8Array;
}

/** In the enclave's folder: what passed between it and its host. */
export const journalFile = "journal.jsonl";

/**
 * The agent of one enclave on its untrusted host (the diagram's FPC_stub): keeps its files, starts its process when it is needed
 * and again when it has ended, and hands messages on. It never holds a key. Each function can be called again after a crash at
 * any point, of the enclave or of this process; those that change what the enclave holds say how.
 */
export class Stub implements AsyncDisposable {
  readonly #options: StubOptions;
  readonly #folder: EnclaveFolder;
  readonly #journal: StubJournal;
  readonly #answers: HostAnswers;
  #enclave: RunningEnclave | undefined;
  #starting: Promise<RunningEnclave> | undefined;
  #closed = false;

  private constructor(options: StubOptions, folder: EnclaveFolder) {
    this.#options = options;
    this.#folder = folder;
    this.#journal = new StubJournal(join(folder.path, journalFile));
    this.#answers = new HostAnswers(folder, options.exchange, this.#journal);
  }

  /** @throws EnclaveError CONFLICT: another stub has this folder */
  static async open(options: StubOptions): Promise<Stub> {
    return new Stub(options, await EnclaveFolder.open(options.folder, options.reached));
  }

  /** Whether an enclave was created here, and its sealed blob stored. */
  get created(): boolean {
    return this.#folder.read("blob") !== undefined;
  }

  /**
   * Steps 1 to 3 of the document, the enclave's side: creates the enclave. Where that was done already, and after a crash, it
   * gives what the creation gave.
   *
   * @returns fpc.Credentials with an attestation, still without evidence
   * @throws EnclaveError CONFLICT: there is an enclave of other parameters here; WRONG_CONTEXT: the chaincode's version is not
   *   the enclave's measurement; MALFORMED; STORE_FAILED; ENCLAVE_ENDED
   */
  async initEnclave(creation: EnclaveCreation): Promise<Buffer> {
    if (this.created) {
      const credentials = this.credentials();
      checkSame(creation, readKept(credentials));
      return credentials;
    }
    this.#folder.remove("credentials");
    this.#folder.write("trusted-ledger", creation.trustedLedger);
    const { ccParams, hostParams, channelHash, trustedLedger } = creation;
    // A process that was started before there was a blob, and holds nothing.
    const enclave = await this.#process();
    const [credentials] = await this.#journal.around("stub", "create", () =>
      enclave.call("create", ccParams, hostParams, channelHash, trustedLedger),
    );
    return needed(credentials);
  }

  /**
   * As the creation of the enclave gave them.
   *
   * @throws EnclaveError NOT_FOUND: there is no enclave here, or its host lost them: {@link attestAgain} makes others
   */
  credentials(): Buffer {
    if (!this.created)
      throw new EnclaveError("NOT_FOUND", `no enclave was created in ${this.#folder.path}`, {
        hint: "create one (initEnclave)",
      });
    const kept = this.#folder.read("credentials");
    if (kept === undefined)
      throw new EnclaveError("NOT_FOUND", `the enclave in ${this.#folder.path} is there, its credentials are lost`, {
        hint: "have it attest again: strongroom fpc enclave attest --sequence N, of the definition as strongroom fpc status shows it",
      });
    return kept;
  }

  /**
   * @param sequence - Of the chaincode's definition that the enclave is for from now on, as the policy names it; the host keeps
   *   these credentials. Left out: newer evidence of what the enclave is.
   * @returns fpc.Credentials, newer, but not of the creation
   * @throws EnclaveError NOT_REGISTERED, REPLAY, POLICY_DENIED: see attest-again.ts; STORE_FAILED; ENCLAVE_ENDED
   */
  attestAgain(sequence?: bigint): Promise<Buffer> {
    return this.#one("attest", numberPart(sequence));
  }

  /**
   * Steps 4 to 9. After a crash, KEYS_EXIST says that the keys are there: {@link reEmitRegistration} gives the message.
   *
   * @returns SignedCCKeyRegistrationMessage
   * @throws EnclaveError KEYS_EXIST; STORE_FAILED; ENCLAVE_ENDED
   */
  generateCCKeys(): Promise<Buffer> {
    return this.#one("generateCCKeys");
  }

  /** The registration of a generation again; the newest, where no number is given. @throws EnclaveError NOT_PROVISIONED */
  reEmitRegistration(generation?: bigint): Promise<Buffer> {
    return this.#one("reEmitRegistration", numberPart(generation));
  }

  /**
   * Drops keys that lost a race to be the chaincode's.
   *
   * @returns The generations' numbers
   * @throws EnclaveError KEYS_EXIST: they are the chaincode's, or may become it; NOT_PROVISIONED: there are none
   */
  async discardNeverRegisteredKeys(): Promise<readonly bigint[]> {
    const numbers = await this.#call("discardNeverRegisteredKeys");
    return numbers.map((number) => BigInt(number.toString("latin1")));
  }

  /**
   * Steps 14 to 18; changes nothing, so it can be called again.
   *
   * @param credentials - The receiver's, fpc.Credentials.
   * @param generation - Left out: the active one.
   * @returns SignedExportMessage
   */
  exportCCKeys(credentials: Uint8Array, generation?: bigint): Promise<Buffer> {
    return this.#one("exportCCKeys", credentials, numberPart(generation));
  }

  /**
   * Steps 23 to 27. After a crash, KEYS_EXIST says that the keys are there: {@link reEmitRegistration} gives the message.
   *
   * @param signedExport - SignedExportMessage.
   * @returns SignedCCKeyRegistrationMessage
   */
  importCCKeys(signedExport: Uint8Array): Promise<Buffer> {
    return this.#one("importCCKeys", signedExport);
  }

  /** The next generation; called again, the same one's proposal again. @returns SignedGenerationProposalMessage */
  proposeGeneration(): Promise<Buffer> {
    return this.#one("proposeGeneration");
  }

  /** Shares of the active generation for the policy's organisations. @returns SignedRecoveryMessage */
  issueRecovery(): Promise<Buffer> {
    return this.#one("issueRecovery");
  }

  /**
   * Verifies shares of the active generation as they are on the ledger, whoever issued them.
   *
   * @param issue - From 1, in the order of the ledger.
   * @returns The issue's hash, 32 bytes
   * @throws EnclaveError NOT_FOUND: there is no such issue, or it cannot be verified; BAD_CIPHERTEXT: its shares are of no use
   */
  checkRecovery(issue: bigint): Promise<Buffer> {
    return this.#one("checkRecovery", numberPart(issue));
  }

  /** The keys out of shares that were released on the ledger. @returns SignedCCKeyRegistrationMessage */
  recover(): Promise<Buffer> {
    return this.#one("recover");
  }

  /** Has the enclave see on the ledger, and seal, that its keys are registered: from then on an older ledger is refused. */
  async compareWithLedger(): Promise<void> {
    await this.#call("compare");
  }

  /**
   * Runs the enclave's chaincode.
   *
   * @param proposal - protos.SignedProposal.
   * @param answerer - What the chaincode asks while it runs.
   * @returns SignedChaincodeResponseMessage
   */
  invoke(proposal: Uint8Array, answerer: InvocationAnswerer): Promise<Buffer> {
    return this.#answers.withAnswerer(answerer, (ticket) => this.#one("invoke", ticket, proposal));
  }

  /**
   * The key that opens an answer which was held back, once peers have applied it.
   *
   * @throws EnclaveError NOT_FOUND: nothing is applied for the proposal, or not yet; WRONG_CONTEXT: another answer to it was
   */
  release(release: Release): Promise<Buffer> {
    return this.#one("release", ...writeRelease(release));
  }

  /** Also before there is an enclave: its measurement is the version to define the chaincode with. */
  async status(): Promise<EnclaveStatus> {
    const enclave = await this.#process();
    return readStatus(needed((await enclave.call("status"))[0]));
  }

  /** Of the enclave's process, where one runs. */
  async pid(): Promise<number> {
    return (await this.#process()).pid;
  }

  /** Ends the enclave's process, which wipes its keys, and gives the folder up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#starting?.catch(() => undefined);
    await this.#enclave?.end();
    this.#folder[Symbol.dispose]();
  }

  async #one(name: string, ...parts: readonly Uint8Array[]): Promise<Buffer> {
    return needed((await this.#call(name, ...parts))[0]);
  }

  async #call(name: string, ...parts: readonly Uint8Array[]): Promise<readonly Buffer[]> {
    if (!this.created) throw new EnclaveError("NOT_FOUND", `no enclave was created in ${this.#folder.path}`);
    const enclave = await this.#process();
    // Calls of the chaincode come by the thousand, and the ledger has each.
    if (isClientCall(name)) return enclave.call(name, ...parts);
    return this.#journal.around("stub", name, () => enclave.call(name, ...parts));
  }

  /** The running process, with the enclave open where there is one; started where none runs. */
  async #process(): Promise<RunningEnclave> {
    if (this.#closed) throw new EnclaveError("ENCLAVE_ENDED", "the stub is closed");
    if (this.#enclave?.alive) return this.#enclave;
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #start(): Promise<RunningEnclave> {
    const { tee, entry } = this.#options;
    const inProcess = (answer: Answerer) => new EnclaveProcess({ answer, ...(entry === undefined ? {} : { entry }) });
    const { start = inProcess } = this.#options;
    const enclave = start((name, parts) => this.#answers.answer(name, parts));
    try {
      await enclave.call("start", Buffer.from(JSON.stringify(tee)));
      const blob = this.#folder.read("blob");
      if (blob !== undefined) {
        const trustedLedger = needed(this.#folder.read("trusted-ledger"));
        await enclave.call("open", blob, Buffer.from(this.#enclaveId(blob)), trustedLedger);
      }
      this.#enclave = enclave;
      return enclave;
    } catch (error) {
      enclave.kill();
      throw error;
    }
  }

  /** Whom the folder belongs to: by the credentials of the creation, or where they were lost by the blob's own word. */
  #enclaveId(blob: Buffer): string {
    const credentials = this.#folder.read("credentials");
    if (credentials !== undefined) return readKept(credentials).enclaveId.text;
    return Buffer.from(readSealedBlob(blob).header.enclaveId).toString("hex").toUpperCase();
  }
}

function readKept(credentials: Buffer): ReadCredentials {
  return readCredentials(decodeStrict(CredentialsSchema, credentials), "not yet");
}

function checkSame({ ccParams, channelHash, trustedLedger }: EnclaveCreation, kept: ReadCredentials): void {
  const { attested, ccParamsHash } = kept;
  const same =
    sha256(ccParams).equals(ccParamsHash) &&
    Buffer.from(channelHash).equals(attested.channelHash) &&
    sha256(trustedLedger).equals(attested.trustedLedgerHash);
  if (!same)
    throw new EnclaveError("CONFLICT", "the enclave of this folder was created with other parameters", {
      hint: "give another folder to an enclave of other parameters",
    });
}

function numberPart(generation: bigint | undefined): Buffer {
  return Buffer.from(generation === undefined ? "" : String(generation));
}

function needed(part: Buffer | undefined): Buffer {
  if (part === undefined) throw new EnclaveError("ENCLAVE_ENDED", "the enclave's answer is not of its form");
  return part;
}
