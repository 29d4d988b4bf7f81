import { type ContractClass, registryContract } from "../../../src/enclave/ercc/contract.ts";
import { callTrial, trialName } from "../../contract/enclave/trial-chaincode.ts";

const transactions = ["put", "get", "remove", "add", "putAndGet", "list", "putListed", "first"];
const others = ["putThenAbort", "definition", "about"];

/** The chaincode that tests of ledgers go by, as a contract in Fabric's runtime. */
export const contracts: ContractClass[] = [registryContract(trialName, [...transactions, ...others], callTrial)];
