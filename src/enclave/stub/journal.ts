import { appendFileSync, readFileSync } from "node:fs";
import { recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { readProposal } from "../ledger/proposal.ts";
import type { LedgerQuestion } from "../trusted-ledger/exchange.ts";

/** One thing that went between an enclave and its host. */
export interface JournalEntry {
  /** Milliseconds since 1970, by the host's clock. */
  readonly atMs: number;
  /** Who asked. */
  readonly from: "stub" | "enclave";
  /** The call's name, as `generateCCKeys` or `store blob`, or what the enclave asked the ledger for. */
  readonly what: string;
  /** `done`, or the code of the refusal. */
  readonly outcome: string;
}

const longestLine = 1000;

/**
 * What passed between an enclave and its host, a line of JSON each, for `strongroom fpc trace`: names and outcomes, never content. It
 * is the host's own word; what counts is on the ledger. A failure to write it stops nothing.
 */
export class StubJournal {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  add(from: JournalEntry["from"], what: string, outcome: string): void {
    const entry: JournalEntry = { atMs: Date.now(), from, what, outcome };
    try {
      appendFileSync(this.#path, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
    } catch {
      // The step itself succeeds or fails for reasons of its own.
    }
  }

  /** Notes how something ended that goes between the two. */
  async around<T>(from: JournalEntry["from"], what: string, run: () => Promise<T>): Promise<T> {
    try {
      const result = await run();
      this.add(from, what, "done");
      return result;
    } catch (error) {
      this.add(from, what, error instanceof EnclaveError ? error.code : "ENCLAVE_ENDED");
      throw error;
    }
  }

  /** Lines that are not entries are left out: the last may have been cut by a crash. */
  read(): readonly JournalEntry[] {
    let text: string;
    try {
      text = readFileSync(this.#path, "utf8");
    } catch {
      return [];
    }
    return text.split("\n").flatMap((line) => readEntry(line));
  }
}

function readEntry(line: string): readonly JournalEntry[] {
  if (line === "" || line.length > longestLine) return [];
  try {
    const { atMs, from, what, outcome } = JSON.parse(line) as Partial<JournalEntry>;
    const isRight =
      Number.isSafeInteger(atMs) &&
      (from === "stub" || from === "enclave") &&
      typeof what === "string" &&
      typeof outcome === "string";
    return isRight ? [{ atMs, from, what, outcome } as JournalEntry] : [];
  } catch {
    return [];
  }
}

/** The two questions of the document's sequence (steps 16 and 24); undefined for the many others. */
export function nameOfQuestion(question: LedgerQuestion): string | undefined {
  if (question.kind !== "endorse") return undefined;
  const [transaction, first, ...more] = argumentsOf(question.proposal);
  if (transaction === "canEndorse") return ["canEndorse", first, ...more].join(" ");
  return transaction === "queryState" && first === recordTypes.exported ? ["exported", ...more].join(" ") : undefined;
}

/** None where it is no proposal: that is for who is asked to say. */
function argumentsOf(proposal: Uint8Array): readonly string[] {
  try {
    return readProposal(proposal).args.map((arg) => Buffer.from(arg).toString("utf8"));
  } catch {
    return [];
  }
}
