import { createHash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { RequestSchema, type Response, ResponseSchema } from "../messages/generated/fpc/trusted_ledger_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";

/** What the ledger enclave knows of the channel, from the blocks that it has followed. */
export interface LedgerView {
  /** The number of the last block. */
  readonly blockNumber: bigint;
  /** The registry's namespace, whose values are kept. */
  readonly erccName: string;
  /** SHA-256 of a value of any chaincode's state; undefined where there is none. */
  hash(namespace: string, key: string): Uint8Array | undefined;
  /** Of the registry, keys that begin so, in order. */
  range(prefix: string): Iterable<readonly [key: string, value: Uint8Array]>;
  isMember(serializedIdentity: Uint8Array): boolean;
  canEndorse(chaincodeId: string, enclaveId: string): Promise<boolean>;
}

const noRecord = new Uint8Array(32);
const maxKeys = 1000;

/**
 * Answers trusted_ledger.Request with trusted_ledger.Response.
 *
 * @throws EnclaveError MALFORMED; WRONG_CONTEXT: a namespace that is not followed; LEDGER_UNAVAILABLE: the block that is
 *   demanded is not there yet
 */
export async function answerRequest(view: LedgerView, bytes: Uint8Array): Promise<Buffer> {
  const { request, minimumBlock } = decodeStrict(RequestSchema, bytes, []);
  const { blockNumber } = view;
  if (blockNumber < minimumBlock)
    throw new EnclaveError(
      "LEDGER_UNAVAILABLE",
      `the ledger enclave is at block ${blockNumber} and is asked for block ${minimumBlock}: ask again`,
    );
  // The number is taken before anything is read: an answer may rest on more blocks than it says, never on fewer.
  const response = await answer(view, request);
  return encode(ResponseSchema, create(ResponseSchema, { response, blockNumber }));
}

type Question = ReturnType<typeof decodeStrict<typeof RequestSchema>>["request"];
type Answer = NonNullable<Exclude<MessageInitShape<typeof ResponseSchema>, Response>["response"]>;

async function answer(view: LedgerView, request: Question): Promise<Answer> {
  switch (request.case) {
    case "metadata": {
      const { namespace, key } = request.value;
      return { case: "metadata", value: { hash: view.hash(namespace, key) ?? noRecord } };
    }
    case "stateHashes": {
      const { namespace, keys } = request.value;
      if (keys.length === 0 || keys.length > maxKeys)
        throw new EnclaveError("MALFORMED", `GetStateHashesRequest.keys are not from 1 to ${maxKeys}`);
      // No block comes in between: all of them are of one time.
      const hashes = keys.map((key) => view.hash(namespace, key) ?? noRecord);
      return { case: "stateHashes", value: { hashes } };
    }
    case "multiMetadata": {
      const { namespace, compoKey } = request.value;
      requireRegistry(view, namespace);
      if (compoKey === "") throw new EnclaveError("MALFORMED", "GetMultiMetadataRequest.compo_key is missing or empty");
      return { case: "multiMetadata", value: { hash: hashOfRange(view.range(compoKey)) } };
    }
    case "validateIdentity":
      return { case: "validateIdentity", value: { isValid: view.isMember(request.value.serializedIdentity) } };
    case "canEndorse": {
      const { chaincodeId, enclaveId } = request.value;
      return { case: "canEndorse", value: { isValid: await view.canEndorse(chaincodeId, enclaveId) } };
    }
    default:
      throw new EnclaveError("MALFORMED", "Request.request is missing or empty");
  }
}

function requireRegistry(view: LedgerView, namespace: string): void {
  if (namespace !== view.erccName)
    throw new EnclaveError("WRONG_CONTEXT", `the ledger enclave keeps the records of ${view.erccName} alone`);
}

/** SHA-256 over each key and value, each with its length (u32, big-endian) before it, in key order. */
function hashOfRange(records: Iterable<readonly [key: string, value: Uint8Array]>): Uint8Array {
  const hash = createHash("sha256");
  let isEmpty = true;
  for (const [key, value] of records) {
    isEmpty = false;
    for (const part of [Buffer.from(key), value]) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      hash.update(length).update(part);
    }
  }
  return isEmpty ? noRecord : hash.digest();
}
