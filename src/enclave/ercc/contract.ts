import { type Context, Contract } from "fabric-contract-api";
import { EnclaveError, toAbortText } from "../errors.ts";
import { setChannelHash } from "./channel-hash.ts";
import { type CalledStub, requireDirectCall } from "./direct-call.ts";
import { FabricState, type FabricStub } from "./fabric-state.ts";
import type { RegistryState } from "./registry-state.ts";

/** Calls a transaction of a registry: its arguments and its result are texts. */
export type CallTransaction = (state: RegistryState, transaction: string, args: readonly string[]) => Promise<string>;

/** What Fabric's chaincode runtime loads: a class that it makes one object of. */
export type ContractClass = new () => Contract;

export interface ContractOptions {
  /** Under which the chaincode is defined on its channel. @defaultValue the contract's name */
  readonly chaincodeName?: string;
  /** Transactions that change nothing: these other chaincode may call as well. @defaultValue none */
  readonly isQuery?: (transaction: string) => boolean;
}

/**
 * ERCC as a contract of Hyperledger Fabric (fabric-contract-api 2.5). Fabric finds a contract's transactions by its methods;
 * the methods made here are the transactions given, and `setChannelHash`. A refusal aborts the transaction with the text
 * `CODE: message`. What changes the ledger is done for who calls this chaincode, and not through other chaincode (UNAUTHORIZED).
 *
 * @param transactions - Names; one of {@link Contract}'s own methods is a TypeError.
 */
export function registryContract(
  name: string,
  transactions: readonly string[],
  call: CallTransaction,
  { chaincodeName = name, isQuery = () => false }: ContractOptions = {},
): ContractClass {
  class Registry extends Contract {
    constructor() {
      super(name);
    }

    async setChannelHash(context: Context, ...args: string[]): Promise<string> {
      return answer(async () => {
        const stub = context.stub as unknown as FabricStub & CalledStub;
        requireDirectCall(stub, chaincodeName);
        return setChannelHash(stub, new FabricState(stub).creator.isAdmin, args);
      });
    }

    override async unknownTransaction(context: Context): Promise<void> {
      const { fcn } = context.stub.getFunctionAndParameters();
      await answer(() => {
        throw new EnclaveError("MALFORMED", `ERCC has no transaction ${JSON.stringify(fcn.slice(0, 64))}`);
      });
    }
  }
  for (const transaction of transactions) {
    if (transaction in Registry.prototype) throw new TypeError(`${transaction} is a method of contracts`);
    // The rest parameter makes the runtime pass every argument on as it is: how many there have to be is the registry's to say.
    const method = (context: Context, ...args: string[]): Promise<string> =>
      answer(async () => {
        const stub = context.stub as unknown as FabricStub & CalledStub;
        if (!isQuery(transaction)) requireDirectCall(stub, chaincodeName);
        return await call(new FabricState(stub), transaction, args);
      });
    Object.defineProperty(Registry.prototype, transaction, { value: method });
  }
  return Registry;
}

/** The runtime sends an error's message to the peer as it is. */
async function answer(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof EnclaveError) throw new Error(toAbortText(error), { cause: error });
    throw error;
  }
}
