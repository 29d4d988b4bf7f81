import { EnclaveError } from "../errors.ts";
import { decodeQuestion } from "../process/ledger-questions.ts";
import type { LedgerExchange } from "../trusted-ledger/exchange.ts";
import type { EnclaveFolder, KeptFile } from "./enclave-folder.ts";
import { nameOfQuestion, type StubJournal } from "./journal.ts";

/** Answers what a chaincode asks while it runs: a name and parts, and parts back. */
export type InvocationAnswerer = (name: string, parts: readonly Buffer[]) => Promise<readonly Uint8Array[]>;

const keptByEnclave: readonly KeptFile[] = ["blob", "credentials"];

/** What an enclave asks of its host while one of its calls runs (ocalls of the document). */
export class HostAnswers {
  readonly #folder: EnclaveFolder;
  readonly #exchange: LedgerExchange;
  readonly #journal: StubJournal;
  readonly #invocations = new Map<string, InvocationAnswerer>();
  #lastTicket = 0;

  constructor(folder: EnclaveFolder, exchange: LedgerExchange, journal: StubJournal) {
    this.#folder = folder;
    this.#exchange = exchange;
    this.#journal = journal;
  }

  /** @throws EnclaveError MALFORMED: nothing that an enclave asks for; STORE_FAILED; what the ledger or the chaincode's host fail with */
  async answer(name: string, parts: readonly Buffer[]): Promise<readonly Uint8Array[]> {
    switch (name) {
      case "store": {
        const [file, bytes] = parts;
        const kept = keptByEnclave.find((one) => one === file?.toString());
        if (kept === undefined || bytes === undefined)
          throw new EnclaveError("MALFORMED", "the enclave asks to store what no enclave stores");
        return this.#journal.around("enclave", `store ${kept}`, async () => {
          this.#store(kept, bytes);
          return [];
        });
      }
      case "ledger": {
        const question = decodeQuestion(parts);
        const what = nameOfQuestion(question);
        const ask = () => this.#exchange(question);
        return what === undefined ? ask() : this.#journal.around("enclave", what, ask);
      }
      case "invocation": {
        const [ticket, question, ...asked] = parts;
        const answerer = this.#invocations.get(ticket?.toString() ?? "");
        if (answerer === undefined || question === undefined)
          throw new EnclaveError("MALFORMED", "the enclave asks on behalf of an invocation that there is not");
        return answerer(question.toString(), asked);
      }
      default:
        throw new EnclaveError("MALFORMED", "the enclave asks its host for something unknown");
    }
  }

  /** Runs a call of the chaincode, which asks `answerer` by the ticket that it is given. */
  async withAnswerer<T>(answerer: InvocationAnswerer, run: (ticket: Buffer) => Promise<T>): Promise<T> {
    this.#lastTicket += 1;
    const ticket = String(this.#lastTicket);
    this.#invocations.set(ticket, answerer);
    try {
      return await run(Buffer.from(ticket));
    } finally {
      this.#invocations.delete(ticket);
    }
  }

  #store(file: KeptFile, bytes: Buffer): void {
    try {
      this.#folder.write(file, bytes);
    } catch (cause) {
      const why = String((cause as NodeJS.ErrnoException).code ?? "it failed");
      throw new EnclaveError(
        "STORE_FAILED",
        `the enclave's ${file} could not be stored in ${this.#folder.path}: ${why}`,
      );
    }
  }
}
