/** Reads what the nodes' ledgers and guards hold, and looks for wrong and double signatures in them. */
import { copyFileSync, readFileSync } from "node:fs";
import { decodeGuardRecord } from "../../../src/chain/consensus/guard-record.ts";
import { quorumSigned } from "../../../src/chain/consensus/vote.ts";
import type { Chain } from "../../../src/chain/ledger/genesis.ts";
import { GuardFile } from "../../../src/chain/node/guard-file.ts";
import { RpcConnection } from "../../../src/chain/sdk/rpc-connection.ts";

export interface LedgerBlock {
  readonly height: number;
  readonly hash: string;
  readonly parentHash: string;
  readonly proposer: number;
  /** Sealers whose commit signatures are in the block's proof. */
  readonly signers: readonly number[];
  /** The signatures are of a quorum of different sealers, and each is right. */
  readonly isProved: boolean;
}

interface BlockAnswer {
  readonly hash: string;
  readonly parentInfo: readonly { readonly blockHash: string }[];
  readonly sealer: number;
  readonly view: number;
  readonly signatureList: readonly { readonly sealerIndex: number; readonly signature: string }[];
}

const fromHex = (text: string): Buffer => Buffer.from(text.slice(2), "hex");

/** Blocks from a height up to the node's head, as the node's RPC shows them; every signature is verified here. */
export async function blocksOf(chain: Chain, rpcPort: number, fromHeight = 1): Promise<LedgerBlock[]> {
  using rpc = new RpcConnection({ host: "127.0.0.1", port: rpcPort, timeoutMs: 10_000 });
  const head = Number(await rpc.call("getBlockNumber", [chain.groupId, ""]));
  const blocks: LedgerBlock[] = [];
  for (let height = fromHeight; height <= head; height++) {
    const answer = await rpc.call("getBlockByNumber", [chain.groupId, "", height, true, false]);
    const { hash, parentInfo, sealer, view, signatureList } = answer as BlockAnswer;
    const signatures = signatureList.map((each) => ({
      sealer: each.sealerIndex,
      signature: fromHex(each.signature),
    }));
    const vote = { height, view, phase: "commit", digest: fromHex(hash) } as const;
    blocks.push({
      height,
      hash,
      parentHash: parentInfo[0]?.blockHash ?? "",
      proposer: sealer,
      signers: signatures.map((each) => each.sealer),
      isProved: quorumSigned(chain, vote, signatures),
    });
  }
  return blocks;
}

/** True when each block names the one before it as its parent. */
export function isLinked(blocks: readonly LedgerBlock[]): boolean {
  return blocks.every((block, index) => index === 0 || block.parentHash === blocks[index - 1]?.hash);
}

export interface GuardedVotes {
  /** Votes that were written down before the card was asked to sign them. */
  readonly votes: number;
  /** Height, view and phase for which more than one vote is there. */
  readonly doubled: readonly string[];
}

/** Reads the double-sign guard of a node that has stopped, from a copy that is made at `copy`. */
export async function guardedVotes(guard: string, copy: string): Promise<GuardedVotes> {
  copyFileSync(guard, copy);
  // The header says which node's guard it is: magic (8), id (16), state digest (32).
  const stateDigest = readFileSync(copy).subarray(24, 56);
  await using file = await GuardFile.open(copy, stateDigest);
  const seen = new Set<string>();
  const doubled: string[] = [];
  for (const { record } of file.entries) {
    const { height, view, phase } = decodeGuardRecord(record);
    const slot = `height ${height}, view ${view}, ${phase}`;
    if (seen.has(slot)) doubled.push(slot);
    seen.add(slot);
  }
  return { votes: file.entries.length, doubled };
}
