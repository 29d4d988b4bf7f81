import { EnclaveError } from "../../errors.ts";
import { parseEnclaveId } from "../../protocol/enclave-id.ts";
import { canEndorse } from "../can-endorse.ts";
import { type RecordType, recordTypes } from "../registry-state.ts";
import { readChaincodeId, type Transaction } from "../transaction.ts";

/** What enclaves have peers sign the answers to (steps 16 and 24 of the document, where there is no ledger enclave). */

const maxAttributes = 4;
const maxAttributeBytes = 256;

/** queryState(type, ...attributes): the bytes of a record in base64; empty text where there is none. */
export const queryState: Transaction = {
  parameters: ["record type", ...Array(maxAttributes).fill("attribute")],
  optional: maxAttributes,
  async run({ state }, [type = "", ...attributes]) {
    if (!isRecordType(type)) throw new EnclaveError("MALFORMED", "the record type is none that ERCC has");
    for (const attribute of attributes)
      if (attribute === "" || Buffer.byteLength(attribute) > maxAttributeBytes || !/^[!-~]+$/.test(attribute))
        throw new EnclaveError(
          "MALFORMED",
          "an attribute of a record's name is empty, too long or not of plain characters",
        );
    const value = await state.get({ type, attributes });
    return value === undefined ? "" : Buffer.from(value).toString("base64");
  },
};

/** canEndorse(chaincode, enclave id): "true" or "false" (decision 0609). */
export const canEndorseQuery: Transaction = {
  parameters: ["chaincode", "enclave id"],
  async run({ state, evidence }, [chaincode, enclaveId = ""]) {
    const isAllowed = await canEndorse(state, evidence, readChaincodeId(chaincode), parseEnclaveId(enclaveId).text);
    return `${isAllowed}`;
  },
};

function isRecordType(type: string): type is RecordType {
  return Object.values<string>(recordTypes).includes(type);
}
