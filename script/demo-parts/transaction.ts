/** A signed Ethereum transaction whose data field carries a canary. */
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createFeeMarket1559Tx } from "@ethereumjs/tx";
import { bytesToHex, createAddressFromPrivateKey, createAddressFromString } from "@ethereumjs/util";

export interface CanaryTransaction {
  readonly chainId: number;
  /** How many transactions the sender has sent before. */
  readonly nonce: number;
  /** Receiver, `0x` and 40 hexadecimal digits. */
  readonly to: string;
  /** Goes into the data field as UTF-8, readable in any store that keeps blocks in clear. */
  readonly canary: string;
}

export interface SignedTransaction {
  /** EIP-2718 bytes for `eth_sendRawTransaction`. */
  readonly bytes: Uint8Array;
  /** `0x` and 64 hexadecimal digits. */
  readonly hash: string;
}

/**
 * Signs an EIP-1559 transfer of 1 wei with `privateKey` (32 bytes, secp256k1), which is only read.
 *
 * The fees are far above what an idle private chain asks, so that the next block takes it.
 */
export function signCanaryTransaction(transaction: CanaryTransaction, privateKey: Uint8Array): SignedTransaction {
  const { chainId, nonce, to, canary } = transaction;
  const common = new Common({ chain: { ...Mainnet, chainId }, hardfork: Hardfork.London });
  const data = Buffer.from(canary, "utf8");
  const gasLimit = 21_000n + 16n * BigInt(data.length);
  const signed = createFeeMarket1559Tx(
    {
      chainId: BigInt(chainId),
      nonce: BigInt(nonce),
      to: createAddressFromString(to),
      value: 1n,
      data,
      gasLimit,
      maxFeePerGas: 20_000_000_000n,
      maxPriorityFeePerGas: 1_000_000_000n,
    },
    { common },
  ).sign(privateKey);
  return { bytes: signed.serialize(), hash: bytesToHex(signed.hash()) };
}

/** The account address of a secp256k1 private key: `0x` and 40 lower-case hexadecimal digits. */
export function addressOf(privateKey: Uint8Array): string {
  return createAddressFromPrivateKey(privateKey).toString();
}
