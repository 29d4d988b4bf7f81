import { decodeArgument } from "../messages/argument.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import { enclaveIdOf, readEnclaveId } from "../protocol/enclave-id.ts";
import { readExport } from "../protocol/export.ts";
import { readRegistration } from "../protocol/registration.ts";
import type { JournalEntry } from "../stub/journal.ts";
import type { LedgerStep } from "./ledger-steps.ts";

/** One arrow of a sequence diagram, in the names of the document's. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly text: string;
}

/** What one enclave's stub wrote down. */
export interface StubRecords {
  readonly mspId: string;
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  readonly entries: readonly JournalEntry[];
}

const orderer = "Orderer";
const ledgerEnclave = "Ledger_enclave";

/**
 * The sequence that really happened, from the ledger's transactions and the stubs' journals, in the order of their times, with
 * the arrows of the document's diagram for each. Nothing is drawn that neither of them shows.
 *
 * @param registry - ERCC's name on the channel
 */
export function traceArrows(
  registry: string,
  chaincodeId: string,
  steps: readonly LedgerStep[],
  stubs: readonly StubRecords[],
): readonly Arrow[] {
  // In one millisecond the call of an enclave comes first: its message is what the transaction carries.
  const timed = [
    ...stubs.flatMap((records) => callsOf(records, chaincodeId)),
    ...steps
      .filter(({ chaincode }) => chaincode === registry || chaincode === chaincodeId)
      .map((step) => ({ atMs: step.atMs, arrows: ledgerArrows(registry, chaincodeId, step) })),
  ];
  return timed.sort((a, b) => a.atMs - b.atMs).flatMap(({ arrows }) => arrows);
}

function ledgerArrows(registry: string, chaincodeId: string, step: LedgerStep): readonly Arrow[] {
  const { mspId, transaction, outcome, blockNumber, chaincode, writes } = step;
  const cli = `Peer_CLI ${mspId}`;
  const receiver = chaincode === registry ? "ERCC" : chaincodeId;
  const arrows: Arrow[] = [{ from: cli, to: receiver, text: `${transaction}(${describe(step)})` }];
  if (outcome === "VALID")
    for (const { key, isDelete } of writes) {
      const name = key.map(shortened).join("/");
      arrows.push({ from: receiver, to: receiver, text: `${isDelete ? "del_state" : "put_state"}(${name})` });
    }
  arrows.push({ from: cli, to: orderer, text: `submit ${transaction} transaction: block ${blockNumber}, ${outcome}` });
  return arrows;
}

/** What the document's own transactions carry, in its words; of others, how many arguments. */
function describe({ transaction, args }: LedgerStep): string {
  try {
    switch (transaction) {
      case "registerEnclave":
        return `Credentials of ${short(readCredentials(decodeArgument(CredentialsSchema, args[0] ?? "")).enclaveId.text)}`;
      case "registerCCKeys": {
        const { enclaveId, generation } = registration(args);
        return `cckey_registration_message of ${short(enclaveId)}, generation ${generation}`;
      }
      case "putKeyExport": {
        const { sender, receiver, generation } = keyExport(args);
        return `export_message from ${short(sender)} to ${short(receiver)}, generation ${generation}`;
      }
      case "announceExport":
        return `from ${short(args[1] ?? "")} to ${short(args[2] ?? "")}, generation ${args[3] ?? ""}`;
      case "revokeEnclave":
        return `${short(args[1] ?? "")}, ${args[2] ?? ""}`;
      default:
        return args.length < 2 ? "" : (args.slice(1).find((arg) => /^\d{1,10}$/.test(arg)) ?? "");
    }
  } catch {
    return "";
  }
}

function registration(args: readonly string[]) {
  const message = readRegistration(decodeArgument(SignedCCKeyRegistrationMessageSchema, args[1] ?? ""));
  return { enclaveId: readEnclaveId(message.enclaveId, "enclave_id").text, generation: message.generation };
}

function keyExport(args: readonly string[]) {
  const message = readExport(decodeArgument(SignedExportMessageSchema, args[1] ?? ""));
  return {
    sender: enclaveIdOf(message.senderEnclaveVk).text,
    receiver: enclaveIdOf(message.receiverEnclaveVk).text,
    generation: message.generation,
  };
}

/** ecalls of the document; the others are ours, under their own names. */
const ecalls: Readonly<Record<string, string>> = {
  create: "ecall_init()",
  generateCCKeys: "ecall_generate_cc_keys()",
  exportCCKeys: "ecall_export_cc_keys(Enclave2_Credentials)",
  importCCKeys: "ecall_import_cc_keys(Export_message)",
};

const stubCalls: Readonly<Record<string, string>> = {
  create: "initEnclave()",
  generateCCKeys: "generateCCKeys()",
  exportCCKeys: "exportCCKeys(Enclave2_Credentials)",
  importCCKeys: "importCCKeys()",
};

/** Not part of any sequence: asked again and again. */
const unremarkable: readonly string[] = ["status", "compare", "start", "open"];

/** Each call of the stub's, with what the enclave asked before it returned. */
function callsOf({ mspId, enclaveId, entries }: StubRecords, chaincodeId: string) {
  const calls: { readonly atMs: number; readonly arrows: readonly Arrow[] }[] = [];
  const [stub, enclave] = [`FPC_stub ${mspId}`, `FPC_stub_enclave ${short(enclaveId)}`];
  let asked: Arrow[] = [];
  for (const { atMs, from, what, outcome } of entries) {
    if (from === "enclave") {
      asked.push(askedArrow(enclave, stub, what, outcome, chaincodeId));
      continue;
    }
    if (!unremarkable.includes(what))
      calls.push({
        atMs,
        arrows: [
          { from: `Peer_CLI ${mspId}`, to: stub, text: stubCalls[what] ?? `${what}()` },
          { from: stub, to: enclave, text: ecalls[what] ?? `${what}()` },
          ...asked,
          { from: enclave, to: stub, text: outcome === "done" ? `return of ${what}` : `abort: ${outcome}` },
        ],
      });
    asked = [];
  }
  return calls;
}

function askedArrow(enclave: string, stub: string, what: string, outcome: string, chaincodeId: string): Arrow {
  const [name, ...rest] = what.split(" ");
  const end = outcome === "done" ? "" : `: ${outcome}`;
  switch (name) {
    case "store":
      return { from: enclave, to: stub, text: `store sealed ${rest.join(" ")}${end}` };
    case "canEndorse":
      return { from: enclave, to: ledgerEnclave, text: `can_endorse(${chaincodeId}, ${short(rest[1] ?? "")})${end}` };
    default:
      return {
        from: enclave,
        to: ledgerEnclave,
        text: `GetMetadata() for Export_message of ${short(rest[1] ?? "")}${end}`,
      };
  }
}

/** Enclaves' ids are shown by their first digits, as everywhere in a trace. */
function shortened(part: string): string {
  return /^[0-9A-F]{64}$/.test(part) ? short(part) : part;
}

function short(id: string): string {
  return id.slice(0, 8);
}

/** PlantUML, as the document's diagram is. */
export function toPlantUml(title: string, arrows: readonly Arrow[]): string {
  const names = participants(arrows);
  const quoted = (name: string) => `"${name}"`;
  return [
    "@startuml",
    "hide footbox",
    `title ${title}`,
    ...names.map((name) => `participant ${quoted(name)}`),
    ...arrows.map(({ from, to, text }) => `${quoted(from)} -> ${quoted(to)} : ${text}`),
    "@enduml",
  ].join("\n");
}

/** Mermaid's sequence diagrams take no quotes, and end a text at `;` and `#`. */
export function toMermaid(title: string, arrows: readonly Arrow[]): string {
  const names = participants(arrows);
  const alias = (name: string) => `p${names.indexOf(name)}`;
  const plain = (text: string) => text.replace(/[;#]/g, ",");
  return [
    "sequenceDiagram",
    `  title ${plain(title)}`,
    ...names.map((name) => `  participant ${alias(name)} as ${plain(name)}`),
    ...arrows.map(({ from, to, text }) => `  ${alias(from)}->>${alias(to)}: ${plain(text)}`),
  ].join("\n");
}

function participants(arrows: readonly Arrow[]): readonly string[] {
  return [...new Set(arrows.flatMap(({ from, to }) => [from, to]))];
}
