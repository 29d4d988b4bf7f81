import type { RegistryState } from "../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../../src/enclave/errors.ts";

/** Under this name the trial chaincode is defined, at version 1.0 and sequence 1. */
export const trialName = "trial";
export const trialVersion = "1.0";

/**
 * A chaincode that does one thing of {@link RegistryState} for each transaction, for tests of ledgers. Its records are of the
 * type of credentials, under the attributes `trial` and the key.
 */
export async function callTrial(
  state: RegistryState,
  transaction: string,
  [first = "", second = ""]: readonly string[],
): Promise<string> {
  const name = (key: string) => ({ type: "namespaces/credentials", attributes: ["trial", key] }) as const;
  switch (transaction) {
    case "put":
      await state.put(name(first), Buffer.from(second));
      return `put ${first}`;
    case "get":
      return Buffer.from((await state.get(name(first))) ?? "nothing").toString();
    case "remove":
      await state.delete(name(first));
      return "";
    case "add": {
      const before = Number(Buffer.from((await state.get(name(first))) ?? "0").toString());
      await state.put(name(first), Buffer.from(String(before + Number(second))));
      return String(before + Number(second));
    }
    case "putAndGet":
      await state.put(name(first), Buffer.from(second));
      return Buffer.from((await state.get(name(first))) ?? "nothing").toString();
    case "list":
      return (await listed(state)).join(" ");
    case "putListed": {
      const all = await listed(state);
      await state.put({ type: "namespaces/provisioned", attributes: ["trial", first] }, Buffer.from(`${all.length}`));
      return String(all.length);
    }
    case "first": {
      for await (const { attributes } of state.scan("namespaces/credentials", ["trial"])) return attributes.join("/");
      return "";
    }
    case "putThenAbort":
      await state.put(name(first), Buffer.from("never"));
      throw new EnclaveError(second as EnclaveErrorCode, `refused for ${first}`);
    case "definition": {
      const definition = await state.definition(first);
      return definition === undefined ? "none" : `${definition.version} at ${definition.sequence}`;
    }
    case "about":
      return JSON.stringify({
        channelId: state.channelId,
        txId: state.txId,
        creator: state.creator,
        timestampMs: state.timestampMs,
        channelHash: Buffer.from(await state.channelHash()).toString("hex"),
      });
    default:
      throw new EnclaveError("MALFORMED", `the trial has no transaction ${transaction}`);
  }
}

async function listed(state: RegistryState): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { attributes, value } of state.scan("namespaces/credentials", ["trial"]))
    found.push(`${attributes.slice(1).join("/")}=${Buffer.from(value).toString()}`);
  return found;
}
