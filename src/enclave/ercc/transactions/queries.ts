import { EnclaveError } from "../../errors.ts";
import { CredentialsSchema } from "../../messages/generated/fpc/fpc_pb.ts";
import { readCredentials } from "../../protocol/attested-data.ts";
import { parseEnclaveId } from "../../protocol/enclave-id.ts";
import { isRevoked } from "../enclaves.ts";
import { parseRecord, readText, recordNames } from "../records.ts";
import { type RegistryState, recordTypes } from "../registry-state.ts";
import { readChaincodeId, readNumber, type Transaction } from "../transaction.ts";

/**
 * Queries give a message as the base64 text that it is kept as, or empty text where there is none; lists are JSON arrays, in the
 * order of the ledger's keys. Anybody in the channel may ask.
 */

/** queryListEnclaveCredentials(chaincode): Credentials of every enclave, revoked ones too. */
export const queryListEnclaveCredentials: Transaction = {
  parameters: ["chaincode"],
  async run({ state }, [chaincode]) {
    const list: string[] = [];
    for await (const { value } of state.scan(recordTypes.credentials, [readChaincodeId(chaincode)]))
      list.push(Buffer.from(value).toString("latin1"));
    return JSON.stringify(list);
  },
};

/** queryEnclaveCredentials(chaincode, enclave id): Credentials. */
export const queryEnclaveCredentials: Transaction = {
  parameters: ["chaincode", "enclave id"],
  run({ state }, [chaincode, enclaveId = ""]) {
    const name = recordNames.credentials(readChaincodeId(chaincode), parseEnclaveId(enclaveId).text);
    return readText(state, name);
  },
};

/** queryListProvisionedEnclaves(chaincode): ids of the enclaves that hold keys and are not revoked. */
export const queryListProvisionedEnclaves: Transaction = {
  parameters: ["chaincode"],
  async run({ state }, [chaincode]) {
    const chaincodeId = readChaincodeId(chaincode);
    const ids: string[] = [];
    for await (const { attributes } of state.scan(recordTypes.provisioned, [chaincodeId]))
      ids.push(attributes[1] ?? "");
    return JSON.stringify(await unrevoked(state, chaincodeId, ids));
  },
};

/** queryListRevokedEnclaves(chaincode): RevocationRecords. */
export const queryListRevokedEnclaves: Transaction = {
  parameters: ["chaincode"],
  async run({ state }, [chaincode]) {
    const list: string[] = [];
    for await (const { value } of state.scan(recordTypes.revoked, [readChaincodeId(chaincode)]))
      list.push(Buffer.from(value).toString("latin1"));
    return JSON.stringify(list);
  },
};

/** queryChaincodeEncryptionKey(chaincode): the PEM of the active generation's EK in base64, empty where none is set (step 2). */
export const queryChaincodeEncryptionKey: Transaction = {
  parameters: ["chaincode"],
  async run({ state }, [chaincode]) {
    const chaincodeEk = await state.get(recordNames.chaincodeEk(readChaincodeId(chaincode)));
    return chaincodeEk === undefined ? "" : Buffer.from(chaincodeEk).toString("base64");
  },
};

/** queryChaincodeEndPoints(chaincode): `host:port` of each enclave that is not revoked, separated by commas, as upstream has it. */
export const queryChaincodeEndPoints: Transaction = {
  parameters: ["chaincode"],
  async run({ state }, [chaincode]) {
    const chaincodeId = readChaincodeId(chaincode);
    const endpoints = new Map<string, string>();
    for await (const { value } of state.scan(recordTypes.credentials, [chaincodeId])) {
      const { enclaveId, attested } = readCredentials(parseRecord(value, CredentialsSchema));
      endpoints.set(enclaveId.text, attested.hostParams?.peerEndpoint ?? "");
    }
    const ids = await unrevoked(state, chaincodeId, [...endpoints.keys()]);
    return ids.map((id) => endpoints.get(id)).join(",");
  },
};

/**
 * getKeyExport(chaincode, receiver's id): SignedExportMessage (step 22).
 *
 * @throws EnclaveError NOT_FOUND
 */
export const getKeyExport: Transaction = {
  parameters: ["chaincode", "enclave id"],
  async run({ state }, [chaincode, idText = ""]) {
    const enclaveId = parseEnclaveId(idText).text;
    const text = await readText(state, recordNames.exported(readChaincodeId(chaincode), enclaveId));
    if (text === "")
      throw new EnclaveError("NOT_FOUND", `no keys have been exported to enclave ${enclaveId}`, {
        hint: "an enclave that holds the keys exports them: strongroom fpc keys export",
      });
    return text;
  },
};

/** queryKeyState(chaincode): ChaincodeKeyState. */
export const queryKeyState: Transaction = {
  parameters: ["chaincode"],
  run: ({ state }, [chaincode]) => readText(state, recordNames.keyState(readChaincodeId(chaincode))),
};

/** queryGeneration(chaincode, number): GenerationRecord. */
export const queryGeneration: Transaction = {
  parameters: ["chaincode", "number"],
  run({ state }, [chaincode, number]) {
    const chaincodeId = readChaincodeId(chaincode);
    return readText(state, recordNames.generation(chaincodeId, readNumber(number, "the generation")));
  },
};

/** queryListConfirmations(chaincode, number): ids of the enclaves that have confirmed the proposed generation. */
export const queryListConfirmations: Transaction = {
  parameters: ["chaincode", "number"],
  async run({ state }, [chaincode, number]) {
    const attributes = [readChaincodeId(chaincode), `${readNumber(number, "the generation")}`];
    const ids: string[] = [];
    for await (const record of state.scan(recordTypes.confirmed, attributes)) ids.push(record.attributes[2] ?? "");
    return JSON.stringify(ids);
  },
};

/** queryPolicy(chaincode, number): SignedPolicy of that number; without a number, the one in force. */
export const queryPolicy: Transaction = {
  parameters: ["chaincode", "number"],
  optional: 1,
  run({ state }, [chaincode, number]) {
    const chaincodeId = readChaincodeId(chaincode);
    return readText(
      state,
      recordNames.policy(chaincodeId, number === undefined ? undefined : readNumber(number, "the policy")),
    );
  },
};

/** queryRecovery(chaincode, number, issue): SignedRecoveryMessage of a generation; without an issue's number, the first. */
export const queryRecovery: Transaction = {
  parameters: ["chaincode", "number", "issue"],
  optional: 1,
  run({ state }, [chaincode, number, issue]) {
    const chaincodeId = readChaincodeId(chaincode);
    const generation = readNumber(number, "the generation");
    const issueNumber = issue === undefined ? 1n : readNumber(issue, "the issue");
    return readText(state, recordNames.recovery(chaincodeId, generation, issueNumber));
  },
};

/** queryListReleasedShares(chaincode, receiver's id): SignedReleasedShareMessages. */
export const queryListReleasedShares: Transaction = {
  parameters: ["chaincode", "enclave id"],
  async run({ state }, [chaincode, enclaveId = ""]) {
    const attributes = [readChaincodeId(chaincode), parseEnclaveId(enclaveId).text];
    const list: string[] = [];
    for await (const { value } of state.scan(recordTypes.released, attributes))
      list.push(Buffer.from(value).toString("latin1"));
    return JSON.stringify(list);
  },
};

async function unrevoked(state: RegistryState, chaincodeId: string, ids: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const id of ids) if (!(await isRevoked(state, chaincodeId, id))) left.push(id);
  return left;
}
