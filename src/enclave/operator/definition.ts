import { create, toBinary } from "@bufbuild/protobuf";
import type { ChaincodeDefinition } from "../ercc/registry-state.ts";
import { EnclaveError } from "../errors.ts";
import { lifecycleName } from "../ledger/definitions.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import type { LedgerConnection } from "../ledger/ledger.ts";
import {
  QueryChaincodeDefinitionArgsSchema,
  QueryChaincodeDefinitionResultSchema,
} from "../messages/generated/fabric/peer_pb.ts";

/** What `_lifecycle` says, which knows no reason classes. */
const notDefined = /\bnamespace .* is not defined\b/;

/**
 * The committed definition of a chaincode, as the own organisation's peer has it.
 *
 * @throws EnclaveError NOT_FOUND; LEDGER_UNAVAILABLE
 */
export async function queryDefinition(connection: LedgerConnection, name: string): Promise<ChaincodeDefinition> {
  const args = toBinary(QueryChaincodeDefinitionArgsSchema, create(QueryChaincodeDefinitionArgsSchema, { name }));
  const answer = await connection.evaluate(lifecycleName, "QueryChaincodeDefinition", [args]).catch((cause) => {
    if (cause instanceof EnclaveError && cause.code === "LEDGER_UNAVAILABLE" && notDefined.test(cause.message))
      throw new EnclaveError("NOT_FOUND", `the channel has no chaincode ${name}`, { cause });
    throw cause;
  });
  const { version, sequence, validationParameter } = readMessage(QueryChaincodeDefinitionResultSchema, answer);
  return { version, sequence, validationParameter };
}
