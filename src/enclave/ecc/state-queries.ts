import { createHash } from "node:crypto";
import { EnclaveError } from "../errors.ts";

/** Query for a value as it is stored, encrypted: base64, or empty text where there is none. */
export const storedTransaction = "__stored";

/**
 * Query for the hashes of values, all at one time: lower-case hexadecimal SHA-256 each, or nothing where there is none, with commas
 * between. Enclaves have peers sign the answer.
 */
export const hashesTransaction = "__hashes";

const maxKeys = 1000;

/**
 * What the private chaincode's part outside the enclave tells of its state, to everybody on the channel: all of it is encrypted.
 *
 * @param get - Undefined or empty where there is no such key.
 * @returns Undefined: it is neither of these queries
 * @throws EnclaveError MALFORMED
 */
export async function answerStateQuery(
  get: (key: string) => Promise<Uint8Array | undefined>,
  transaction: string | undefined,
  args: readonly string[],
): Promise<string | undefined> {
  switch (transaction) {
    case storedTransaction: {
      const [key = "", ...more] = args;
      if (key === "" || key.startsWith("\u0000") || more.length > 0)
        throw new EnclaveError("MALFORMED", `${storedTransaction} takes one key of the state`);
      return Buffer.from((await get(key)) ?? new Uint8Array()).toString("base64");
    }
    case hashesTransaction: {
      if (args.length === 0 || args.length > maxKeys || args.includes(""))
        throw new EnclaveError("MALFORMED", `${hashesTransaction} takes from 1 to ${maxKeys} keys of the state`);
      const hashes: string[] = [];
      for (const key of args) {
        const value = (await get(key)) ?? new Uint8Array();
        hashes.push(value.length === 0 ? "" : createHash("sha256").update(value).digest("hex"));
      }
      return hashes.join(",");
    }
    default:
      return undefined;
  }
}

/** The answer to {@link hashesTransaction}. @throws EnclaveError MALFORMED */
export function readHashes(answer: string, count: number): readonly (Uint8Array | undefined)[] {
  const hashes = answer.split(",");
  if (hashes.length !== count || !hashes.every((hash) => hash === "" || /^[0-9a-f]{64}$/.test(hash)))
    throw new EnclaveError("MALFORMED", `the answer to ${hashesTransaction} is not a hash for each key`);
  return hashes.map((hash) => (hash === "" ? undefined : Buffer.from(hash, "hex")));
}
