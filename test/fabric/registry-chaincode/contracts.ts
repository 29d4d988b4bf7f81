import { type ContractClass, registryContract } from "../../../src/enclave/ercc/contract.ts";
import type { RegistryState } from "../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../src/enclave/errors.ts";

/** A registry of the tests that believes what it is told: `tell` keeps the answer to a query, and the queries give it. */
async function call(state: RegistryState, transaction: string, args: readonly string[]): Promise<string> {
  if (transaction === "tell") {
    const [answer = "", query = "", ...asked] = args;
    await state.put({ type: "namespaces/credentials", attributes: [query, ...asked] }, Buffer.from(answer));
    return "";
  }
  const answer = await state.get({ type: "namespaces/credentials", attributes: [transaction, ...args] });
  if (answer === undefined) throw new EnclaveError("NOT_FOUND", `nobody told it ${transaction}`);
  return Buffer.from(answer).toString();
}

export const contracts: ContractClass[] = [
  registryContract("registry", ["tell", "queryEnclaveCredentials", "queryState", "canEndorse"], call, {
    chaincodeName: "ercc",
    isQuery: (transaction) => transaction !== "tell",
  }),
];
