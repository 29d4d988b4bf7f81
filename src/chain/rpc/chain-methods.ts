import type { Chain } from "../ledger/genesis.ts";
import { encodeHeader } from "../ledger/header.ts";
import { MerkleTree } from "../ledger/merkle.ts";
import { encodeReceipt } from "../ledger/receipt.ts";
import { maxKeyBytes, maxTransactionBytes } from "../ledger/transaction.ts";
import type { BlockHeader, FinalBlock, Receipt, Transaction } from "../ledger/types.ts";
import { type Json, RpcError, type RpcMethod } from "./json-rpc.ts";

/** What the calls need of a node. */
export interface AskedNode {
  readonly chain: Chain;
  readonly nodeId: string;
  readonly height: number;
  /** Ids of the connected nodes. */
  readonly connected: readonly string[];
  block(height: number): Promise<FinalBlock | undefined>;
  receipts(height: number): Promise<readonly Receipt[] | undefined>;
  storedReceipt(transactionHash: Buffer): Promise<Receipt | undefined>;
  /** The contract's value after the last block. */
  get(key: Buffer): Buffer | undefined;
  /** Sends a transaction and waits for its receipt; undefined when no block takes it in time. */
  transact(encoded: Buffer): Promise<{ readonly refused: string } | { readonly receipt: Receipt | undefined }>;
}

/**
 * The calls of FISCO BCOS 3's RPC that a key-value chain has, with its parameters (group, node name, …) and field names.
 * Bytes are hexadecimal with 0x before them. `call` asks the contract at the last block:
 * `["group0", "", "KeyValue", {"method": "get", "key": "0x…"}]`.
 */
export function chainMethods(node: AskedNode): ReadonlyMap<string, RpcMethod> {
  const { chain } = node;
  /** Takes the group and the node's name off; an empty name is this node. */
  const inGroup =
    (count: number, run: (rest: readonly Json[]) => Promise<Json> | Json): RpcMethod =>
    (params) => {
      if (params.length < 1 || params.length > count + 2)
        throw new RpcError("params", `the call takes a group, a node name and ${count} more`);
      if (params[0] !== chain.groupId) throw new RpcError("params", `the group is ${chain.groupId}`);
      const name = params[1] ?? "";
      if (name !== "" && name !== node.nodeId)
        throw new RpcError("params", "the node name is empty, or this node's id");
      return run(params.slice(2));
    };
  const get = async (key: Json | undefined): Promise<Json> => {
    const value = node.get(readHex(key, "the key", maxKeyBytes));
    return { blockNumber: node.height, status: value === undefined ? 16 : 0, output: hex(value ?? Buffer.alloc(0)) };
  };
  return new Map<string, RpcMethod>([
    ["getBlockNumber", inGroup(0, () => node.height)],
    [
      "getBlockByNumber",
      inGroup(3, async ([number, onlyHeader, onlyHashes]) => {
        const height = readHeight(number);
        if (height === 0)
          return { ...headerJson(chain, chain.genesisHeader, chain.genesisHash), signatureList: [], transactions: [] };
        const block = await node.block(height);
        if (block === undefined) throw new RpcError("refused", `there is no block ${height} yet`);
        return blockJson(chain, block, readFlag(onlyHeader), readFlag(onlyHashes));
      }),
    ],
    ["getPeers", () => ({ p2pNodeID: node.nodeId, peers: node.connected.map((p2pNodeID) => ({ p2pNodeID })) })],
    ["getNodeIDList", inGroup(0, () => [node.nodeId, ...node.connected].sort())],
    ["getSealerList", inGroup(0, () => chain.sealers.map((nodeID) => ({ nodeID, weight: 1 })))],
    [
      "sendTransaction",
      inGroup(2, async ([data, requireProof]) => {
        const outcome = await node.transact(readHex(data, "the transaction", maxTransactionBytes));
        if ("refused" in outcome) throw new RpcError("refused", outcome.refused);
        if (outcome.receipt === undefined)
          throw new RpcError("refused", "no block holds the transaction yet: ask for its receipt later");
        return receiptJson(node, outcome.receipt, readFlag(requireProof));
      }),
    ],
    [
      "getTransactionReceipt",
      inGroup(2, async ([hash, requireProof]) => {
        const name = readHex(hash, "the transaction hash", 32);
        const receipt = name.length === 32 ? await node.storedReceipt(name) : undefined;
        if (receipt === undefined) throw new RpcError("refused", "no block holds a transaction of that hash");
        return receiptJson(node, receipt, readFlag(requireProof));
      }),
    ],
    [
      "call",
      inGroup(2, ([contract, asked]) => {
        if (contract !== "KeyValue") throw new RpcError("params", 'the contract is "KeyValue"');
        if (typeof asked !== "object" || asked === null || !("method" in asked) || asked.method !== "get")
          throw new RpcError("params", 'a call is {"method": "get", "key": "0x…"}; what writes is a transaction');
        return get("key" in asked ? asked.key : undefined);
      }),
    ],
    ["get", inGroup(1, ([key]) => get(key))],
  ]);
}

export function hex(bytes: Buffer): string {
  return `0x${bytes.toString("hex")}`;
}

function blockJson(chain: Chain, block: FinalBlock, onlyHeader: boolean, onlyHashes: boolean): Json {
  const { header, hash, proof, transactions } = block;
  return {
    ...headerJson(chain, header, hash),
    view: proof.view,
    signatureList: signatureJson(block),
    ...(onlyHeader
      ? {}
      : {
          transactions: transactions.map((transaction) =>
            onlyHashes ? hex(transaction.hash) : transactionJson(transaction),
          ),
        }),
  };
}

function headerJson(chain: Chain, header: BlockHeader, hash: Buffer): { readonly [name: string]: Json } {
  return {
    number: header.height,
    hash: hex(hash),
    parentInfo: header.height === 0 ? [] : [{ blockNumber: header.height - 1, blockHash: hex(header.parentHash) }],
    timestamp: header.timestampMs,
    txsCount: header.transactionCount,
    sealer: header.proposer,
    sealerList: [...chain.sealers],
    txsRoot: hex(header.transactionsRoot),
    receiptsRoot: hex(header.receiptsRoot),
    stateRoot: hex(header.stateRoot),
  };
}

function signatureJson({ proof }: FinalBlock): Json {
  return proof.signatures.map(({ sealer, signature }) => ({ sealerIndex: sealer, signature: hex(signature) }));
}

function transactionJson({
  hash,
  chainId,
  groupId,
  sender,
  nonce,
  blockLimit,
  operation,
  signature,
}: Transaction): Json {
  return {
    hash: hex(hash),
    chainID: chainId,
    groupID: groupId,
    sender: hex(sender),
    nonce: hex(nonce),
    blockLimit,
    to: "KeyValue",
    input: {
      method: operation.kind,
      key: hex(operation.key),
      ...(operation.kind === "set" ? { value: hex(operation.value) } : {}),
    },
    signature: hex(signature),
  };
}

/** With a proof: header, commit signatures, and the way from the receipt up to the header's receipts root. */
async function receiptJson(node: AskedNode, receipt: Receipt, requireProof: boolean): Promise<Json> {
  const plain = {
    transactionHash: hex(receipt.transactionHash),
    blockNumber: receipt.height,
    transactionIndex: receipt.index,
    status: receipt.status,
    output: hex(receipt.output),
  };
  if (!requireProof) return plain;
  const [block, receipts] = [await node.block(receipt.height), await node.receipts(receipt.height)];
  if (block === undefined || receipts === undefined) throw new RpcError("internal", "the block of the receipt is gone");
  const path = receiptTree(node.chain, receipts).path(receipt.index);
  return {
    ...plain,
    receiptProof: {
      header: hex(encodeHeader(block.header)),
      view: block.proof.view,
      signatureList: signatureJson(block),
      path: path.map(hex),
    },
  };
}

/** Of the last blocks' lists of receipts: each client of a block asks for its own path. */
const receiptTrees = new WeakMap<readonly Receipt[], MerkleTree>();

function receiptTree({ suite }: Chain, receipts: readonly Receipt[]): MerkleTree {
  const known = receiptTrees.get(receipts);
  if (known !== undefined) return known;
  const tree = new MerkleTree(suite, receipts.map(encodeReceipt));
  receiptTrees.set(receipts, tree);
  return tree;
}

function readHex(value: Json | undefined, what: string, mostBytes: number): Buffer {
  if (typeof value !== "string" || !/^0x(?:[0-9a-fA-F]{2})+$/.test(value) || value.length > 2 + 2 * mostBytes)
    throw new RpcError("params", `${what} is 0x and 1 to ${mostBytes} bytes in hexadecimal`);
  return Buffer.from(value.slice(2), "hex");
}

function readHeight(value: Json | undefined): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0)
    throw new RpcError("params", "a block number is a whole number from 0");
  return value;
}

function readFlag(value: Json | undefined): boolean {
  if (value === undefined) return false;
  if (typeof value !== "boolean") throw new RpcError("params", "a flag is true or false");
  return value;
}
