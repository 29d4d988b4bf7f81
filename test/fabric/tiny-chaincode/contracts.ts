import { type ContractClass, registryContract } from "../../../src/enclave/ercc/contract.ts";
import { type RecordName, type RegistryState, recordTypes } from "../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../src/enclave/errors.ts";

/** A contract of the tests, to see what passes between peer and chaincode: one small transaction for each thing of a state. */
const transactions: Readonly<Record<string, (state: RegistryState, args: readonly string[]) => Promise<string>>> = {
  get: async (state, [...attributes]) => text(await state.get(named(attributes))),
  put: async (state, [value = "", ...attributes]) => {
    await state.put(named(attributes), Buffer.from(value));
    return text(await state.get(named(attributes)));
  },
  putOnce: async (state, [value = "", ...attributes]) => {
    if ((await state.get(named(attributes))) !== undefined) throw new EnclaveError("ALREADY_SET", "it is there: stop");
    await state.put(named(attributes), Buffer.from(value));
    return value;
  },
  remove: async (state, [...attributes]) => {
    await state.delete(named(attributes));
    return "";
  },
  scan: async (state, [...attributes]) => {
    const lines: string[] = [];
    for await (const { attributes: found, value } of state.scan(recordTypes.credentials, attributes))
      lines.push(`${found.join("/")}=${text(value)}`);
    return lines.join("\n");
  },
  first: async (state, [...attributes]) => {
    for await (const { value } of state.scan(recordTypes.credentials, attributes)) return text(value);
    return "none";
  },
  countInto: async (state, [name = "", ...attributes]) => {
    let count = 0;
    for await (const _ of state.scan(recordTypes.credentials, attributes)) count++;
    await state.put(named([name]), Buffer.from(`${count}`));
    return `${count}`;
  },
  definition: async (state, [name = ""]) => {
    const definition = await state.definition(name);
    if (definition === undefined) return "none";
    const { version, sequence, validationParameter } = definition;
    return `${version} ${sequence} ${Buffer.from(validationParameter).toString("hex")}`;
  },
  context: async (state) =>
    JSON.stringify({
      channelId: state.channelId,
      txId: state.txId,
      timestampMs: state.timestampMs,
      creator: state.creator,
    }),
  channelHash: async (state) => Buffer.from(await state.channelHash()).toString("hex"),
  echo: async (_state, args) => JSON.stringify(args),
  random: async () => `${Math.random()}`,
  fault: async () => {
    throw new TypeError("a fault of the chaincode's own");
  },
};

export const contracts: ContractClass[] = [
  registryContract("tiny", Object.keys(transactions), (state, transaction, args) => {
    const run = transactions[transaction];
    if (run === undefined) throw new TypeError(`no transaction ${transaction}`);
    return run(state, args);
  }),
];

function named(attributes: readonly string[]): RecordName {
  return { type: recordTypes.credentials, attributes };
}

function text(value: Uint8Array | undefined): string {
  return value === undefined ? "none" : Buffer.from(value).toString();
}
