import type { EvidenceJudge } from "../evidence/judge.ts";
import type { Chaincode } from "../ledger/embedded/chaincode.ts";
import { Registry } from "./registry.ts";

/** ERCC as a chaincode of the embedded ledger: the same registry that runs as Fabric's chaincode. */
export function registryChaincode(judge: EvidenceJudge): Chaincode {
  return (stub) => new Registry(stub, judge).call(stub.transaction, stub.args);
}
