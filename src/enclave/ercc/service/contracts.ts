import { AttestationJudge } from "../../evidence/judge.ts";
import { type ContractClass, registryContract } from "../contract.ts";
import { isQuery, Registry, transactionNames } from "../registry.ts";

/** ERCC's name on the channel, where it is not `ercc`: it changes nothing for who called another chaincode. */
const chaincodeName = process.env.STRONGROOM_ERCC_NAME ?? "ercc";
const judge = new AttestationJudge();

/** The name is what fabric-chaincode-node looks for. Nothing that this file needs may wait at its top level: it is `require`d. */
export const contracts: ContractClass[] = [
  registryContract(
    "ercc",
    transactionNames,
    (state, transaction, args) => new Registry(state, judge).call(transaction, args),
    { chaincodeName, isQuery },
  ),
];
