/** An enclave of the product in the bench's own process: what it spends is the process's, and a hundred of them need no memory. */
import { auction } from "../../src/enclave/chaincode/auction.ts";
import { AttestationJudge } from "../../src/enclave/evidence/judge.ts";
import { TrustedLedgerParametersSchema } from "../../src/enclave/messages/generated/fpc/policy_pb.ts";
import { decodeStrict } from "../../src/enclave/messages/strict.ts";
import { confidentialInvocation } from "../../src/enclave/process/confidential-invocation.ts";
import { EnclaveServer } from "../../src/enclave/process/enclave-server.ts";
import { decodeQuestion } from "../../src/enclave/process/ledger-questions.ts";
import { readTeeSettings } from "../../src/enclave/process/tee-settings.ts";
import { EnclaveFolder, type KeptFile } from "../../src/enclave/stub/enclave-folder.ts";
import { type EnclaveStatus, readStatus } from "../../src/enclave/stub/enclave-status.ts";
import type { EnclaveCreation, Stub } from "../../src/enclave/stub/stub.ts";
import { openTeeBackend } from "../../src/enclave/tee/open-backend.ts";
import type { LedgerExchange } from "../../src/enclave/trusted-ledger/exchange.ts";
import { openTrustedLedger } from "../../src/enclave/trusted-ledger/open.ts";

type Driven = Pick<
  Stub,
  | "created"
  | "initEnclave"
  | "credentials"
  | "status"
  | "generateCCKeys"
  | "exportCCKeys"
  | "importCCKeys"
  | "compareWithLedger"
>;

export class InProcessEnclave implements Driven, AsyncDisposable {
  readonly #folder: EnclaveFolder;
  readonly #server: EnclaveServer;

  private constructor(folder: EnclaveFolder, exchange: LedgerExchange) {
    this.#folder = folder;
    this.#server = new EnclaveServer(
      {
        openBackend: (settings) => openTeeBackend(readTeeSettings(settings), "chaincode"),
        judge: new AttestationJudge(),
        openLedger: async ({ parameters, ...context }, ask, { backend, judge }) =>
          openTrustedLedger(decodeStrict(TrustedLedgerParametersSchema, parameters), ask, {
            ...context,
            tee: backend,
            judge,
          }),
        invoke: confidentialInvocation(auction),
      },
      async (name, ...parts) => {
        if (name === "ledger")
          return (await exchange(decodeQuestion(parts as Buffer[]))).map((part) => Buffer.from(part));
        const [file, bytes] = parts;
        if (name !== "store" || file === undefined || bytes === undefined) throw new Error(`unknown call ${name}`);
        folder.write(Buffer.from(file).toString() as KeptFile, bytes);
        return [];
      },
    );
  }

  static async start(folder: string, platform: string, exchange: LedgerExchange): Promise<InProcessEnclave> {
    const enclave = new InProcessEnclave(await EnclaveFolder.open(folder), exchange);
    await enclave.#server.answer("start", [Buffer.from(JSON.stringify({ kind: "process", platform }))]);
    return enclave;
  }

  /** For the operator's functions, which know an enclave by its stub; they call nothing that this has not. */
  get stub(): Stub {
    return this as unknown as Stub;
  }

  get created(): boolean {
    return this.#folder.read("blob") !== undefined;
  }

  initEnclave({ ccParams, hostParams, channelHash, trustedLedger }: EnclaveCreation): Promise<Buffer> {
    return this.#one("create", ccParams, hostParams, channelHash, trustedLedger);
  }

  credentials(): Buffer {
    const kept = this.#folder.read("credentials");
    if (kept === undefined) throw new Error("the enclave is not created");
    return kept;
  }

  async status(): Promise<EnclaveStatus> {
    return readStatus(await this.#one("status"));
  }

  generateCCKeys(): Promise<Buffer> {
    return this.#one("generateCCKeys");
  }

  exportCCKeys(credentials: Uint8Array): Promise<Buffer> {
    return this.#one("exportCCKeys", credentials);
  }

  importCCKeys(signedExport: Uint8Array): Promise<Buffer> {
    return this.#one("importCCKeys", signedExport);
  }

  async compareWithLedger(): Promise<void> {
    await this.#server.answer("compare", []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.end();
    this.#folder[Symbol.dispose]();
  }

  async #one(name: string, ...parts: readonly Uint8Array[]): Promise<Buffer> {
    const [answer] = await this.#server.answer(
      name,
      parts.map((part) => Buffer.from(part)),
    );
    return Buffer.from(answer ?? []);
  }
}
