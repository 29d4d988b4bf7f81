/** The first block of a private proof-of-authority (Clique, EIP-225) chain, in geth's JSON form. */

export interface GenesisOptions {
  /** Addresses (`0x` and 40 hexadecimal digits) that may seal blocks. */
  readonly signers: readonly string[];
  /** Addresses that start with 1,000 ether besides the signers. */
  readonly funded?: readonly string[];
  /** Least seconds between two blocks. @defaultValue `2` */
  readonly periodSeconds?: number;
  /** @defaultValue `20262` */
  readonly chainId?: number;
}

/** As written to the genesis file; the fields that geth and EthereumJS read. */
export interface Genesis {
  readonly config: Readonly<Record<string, number | boolean | string | object>>;
  readonly extraData: string;
  readonly alloc: Readonly<Record<string, { readonly balance: string }>>;
  readonly [field: string]: unknown;
}

const openingBalanceWei = 1_000n * 10n ** 18n;
const zeroHash = `0x${"0".repeat(64)}`;

/**
 * Makes the genesis of a London-rules Clique chain.
 *
 * With one signer the chain goes on while any other node is down; with two, Clique lets nobody seal twice running, so
 * both must be up. `extraData` is 32 zero bytes, the signers' addresses in ascending order, and 65 zero bytes.
 *
 * @throws {RangeError} On no signer, a malformed address, or a period outside 1..60.
 */
export function makeGenesis({ signers, funded = [], periodSeconds = 2, chainId = 20_262 }: GenesisOptions): Genesis {
  if (signers.length === 0) throw new RangeError("a Clique chain needs at least one signer");
  if (!Number.isInteger(periodSeconds) || periodSeconds < 1 || periodSeconds > 60)
    throw new RangeError(`periodSeconds must be a whole number from 1 to 60, got ${periodSeconds}`);
  const sealing = signers.map(bareAddress).sort();
  const accounts = new Set([...sealing, ...funded.map(bareAddress)]);
  return {
    config: {
      chainId,
      homesteadBlock: 0,
      eip150Block: 0,
      eip150Hash: zeroHash,
      eip155Block: 0,
      eip158Block: 0,
      byzantiumBlock: 0,
      constantinopleBlock: 0,
      petersburgBlock: 0,
      istanbulBlock: 0,
      berlinBlock: 0,
      londonBlock: 0,
      clique: { period: periodSeconds, epoch: 30_000 },
    },
    nonce: "0x0",
    timestamp: "0x614b3731",
    gasLimit: "0x1c9c380",
    difficulty: "0x1",
    mixHash: zeroHash,
    coinbase: `0x${"0".repeat(40)}`,
    number: "0x0",
    gasUsed: "0x0",
    parentHash: zeroHash,
    baseFeePerGas: "0x7",
    extraData: `0x${"0".repeat(64)}${sealing.join("")}${"0".repeat(130)}`,
    alloc: Object.fromEntries(
      [...accounts].map((address) => [address, { balance: `0x${openingBalanceWei.toString(16)}` }]),
    ),
  };
}

function bareAddress(address: string): string {
  if (!/^0x[0-9a-fA-F]{40}$/.test(address))
    throw new RangeError(`an address is 0x and 40 hexadecimal digits: ${address}`);
  return address.slice(2).toLowerCase();
}
