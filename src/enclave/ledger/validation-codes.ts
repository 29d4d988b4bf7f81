import { EnclaveError } from "../errors.ts";

/** Fabric's validation codes that peers of ours give (protos.TxValidationCode). */
export const validationCodes = {
  VALID: 0,
  NIL_ENVELOPE: 1,
  BAD_PAYLOAD: 2,
  BAD_COMMON_HEADER: 3,
  BAD_CREATOR_SIGNATURE: 4,
  INVALID_ENDORSER_TRANSACTION: 5,
  INVALID_CONFIG_TRANSACTION: 6,
  BAD_PROPOSAL_TXID: 8,
  DUPLICATE_TXID: 9,
  ENDORSEMENT_POLICY_FAILURE: 10,
  MVCC_READ_CONFLICT: 11,
  PHANTOM_READ_CONFLICT: 12,
  UNKNOWN_TX_TYPE: 13,
  TARGET_CHAIN_NOT_FOUND: 14,
  EXPIRED_CHAINCODE: 17,
  BAD_RESPONSE_PAYLOAD: 21,
  BAD_RWSET: 22,
  ILLEGAL_WRITESET: 23,
  INVALID_CHAINCODE: 25,
  INVALID_OTHER_REASON: 255,
} as const;

export type ValidationCode = (typeof validationCodes)[keyof typeof validationCodes];

/** The error of a transaction that was ordered and is not valid, by Fabric's number for it. */
export function invalidTransaction(txId: string, code: number): EnclaveError {
  const name = Object.entries(validationCodes).find(([, number]) => number === code)?.[0] ?? `code ${code}`;
  const what = `transaction ${txId} is not valid: ${name}`;
  switch (code) {
    case validationCodes.MVCC_READ_CONFLICT:
    case validationCodes.PHANTOM_READ_CONFLICT:
      return new EnclaveError("CONFLICT", what, { hint: "another transaction came first: read the state again" });
    case validationCodes.DUPLICATE_TXID:
      return new EnclaveError("REPLAY", what);
    case validationCodes.BAD_CREATOR_SIGNATURE:
      return new EnclaveError("BAD_SIGNATURE", what);
    case validationCodes.ENDORSEMENT_POLICY_FAILURE:
    case validationCodes.EXPIRED_CHAINCODE:
    case validationCodes.INVALID_CHAINCODE:
      return new EnclaveError("POLICY_DENIED", what);
    default:
      return new EnclaveError("MALFORMED", what);
  }
}
