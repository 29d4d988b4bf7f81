/**
 * `strongroom/chain`: a client of the reference chain. It signs its transactions by itself, with a key in a cipher machine or in a
 * file, and believes receipts by their proofs only.
 */
export { ChainBuildError, type ChainBuildErrorCode, chainBuildErrors } from "../build/errors.ts";
export { type ChainGenesis, readGenesis } from "../build/genesis-reader.ts";
export { Chain, type Genesis } from "../ledger/genesis.ts";
export type { DigestSigner, SigningAlgorithm } from "../ledger/signer.ts";
export type { BlockHeader, Operation, Receipt, Transaction } from "../ledger/types.ts";
export { chainOf } from "../node/chain-of.ts";
export { readSdkConfig, type SdkConfig } from "../sdk-config.ts";
export { checkHeader, type ProvedHeader } from "./block-proof.ts";
export { ChainClient, type ChainClientOptions } from "./chain-client.ts";
export { ChainClientError, type ChainClientErrorCode, chainClientErrors } from "./errors.ts";
export { type OpenAccount, openAccount } from "./open-account.ts";
export { type ClientFiles, type OpenClient, openClient } from "./open-client.ts";
export { checkReceiptProof, type ProvedReceipt } from "./receipt-proof.ts";
export type { RpcEndpoint } from "./rpc-connection.ts";
