import { type RecordType, recordTypes } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import type { LedgerQuestion } from "../trusted-ledger/exchange.ts";

/** A question as the parts of a call out of the enclave: its kind, then what it asks about. */
export function encodeQuestion(question: LedgerQuestion): readonly Uint8Array[] {
  const text = (value: string) => Buffer.from(value);
  switch (question.kind) {
    case "creator":
      return [text("creator")];
    case "endorse":
      return [text("endorse"), question.proposal, ...question.organisations.map(text)];
    case "session":
      return [text("session"), question.message];
    case "record":
      return [text("record"), text(question.name.type), ...question.name.attributes.map(text)];
  }
}

/** @throws EnclaveError MALFORMED */
export function decodeQuestion(parts: readonly Buffer[]): LedgerQuestion {
  const [kind, ...rest] = parts;
  const [first, ...others] = rest;
  switch (kind?.toString()) {
    case "creator":
      if (rest.length === 0) return { kind: "creator" };
      break;
    case "endorse":
      if (first !== undefined) return { kind: "endorse", proposal: first, organisations: others.map(String) };
      break;
    case "session":
      if (first !== undefined && others.length === 0) return { kind: "session", message: first };
      break;
    case "record": {
      const type = first?.toString();
      if (isRecordType(type)) return { kind: "record", name: { type, attributes: others.map(String) } };
      break;
    }
    default:
  }
  throw new EnclaveError("MALFORMED", "the enclave asks for nothing of the ledger that its host knows");
}

function isRecordType(text: string | undefined): text is RecordType {
  return Object.values<string | undefined>(recordTypes).includes(text);
}
