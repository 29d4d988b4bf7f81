import { EnclaveError } from "../errors.ts";
import type { TeeSettings } from "../tee/open-backend.ts";

/** What a host tells its ledger enclave. A wrong word of it shows: in the quotes, or to whoever asks for another registry. */
export interface LedgerEnclaveStart {
  readonly tee: TeeSettings;
  /** Name of the registry on the channel. */
  readonly erccName: string;
}

/** Fields of each kind of platform, beside `kind`. */
const teeFields = { process: ["platform"], tpm: ["platform", "tcti"], gramine: ["folder"] } as const;

export function writeStart(start: LedgerEnclaveStart): Buffer {
  return Buffer.from(JSON.stringify(start));
}

/** @throws EnclaveError SETTINGS_INVALID */
export function readStart(bytes: Uint8Array): LedgerEnclaveStart {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString());
  } catch {
    // Said below.
  }
  const { tee, erccName, ...others } = requireObject(value, "they");
  requireNoOthers(others);
  if (typeof erccName !== "string" || erccName === "") throw refused('"erccName" is no name');
  return { tee: readTee(requireObject(tee, '"tee"')), erccName };
}

function readTee({ kind, ...fields }: Record<string, unknown>): TeeSettings {
  if (kind !== "process" && kind !== "tpm" && kind !== "gramine") throw refused('"kind" is no kind of platform');
  const read: Record<string, string> = {};
  for (const name of teeFields[kind]) {
    const { [name]: value, ...others } = fields;
    fields = others;
    if (value === undefined && kind === "gramine") continue;
    if (typeof value !== "string" || value === "") throw refused(`"${name}" is not a text`);
    read[name] = value;
  }
  requireNoOthers(fields);
  return { kind, ...read } as TeeSettings;
}

function requireObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function requireNoOthers(others: object): void {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw refused(`"${unknown}" is not one of them`);
}

function refused(why: string): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", `the settings of the ledger enclave: ${why}`);
}
