import { BinaryReader, BinaryWriter } from "../ledger/binary.ts";
import { decodeFinalBlock, encodeFinalBlock, readBlock, writeBlock } from "../ledger/block.ts";
import type { Chain } from "../ledger/genesis.ts";
import { hashBytes } from "../ledger/suite.ts";
import { decodeTransaction, maxTransactionBytes } from "../ledger/transaction.ts";
import type { FinalBlock } from "../ledger/types.ts";
import { readCertificate, writeCertificate } from "./certificate.ts";
import { maxFrameBytes, maxGossipTransactions, maxSyncBlocks, maxView } from "./limits.ts";
import type { Message, Proposal, ViewChange } from "./messages.ts";
import { phaseCodes, type Vote } from "./vote.ts";

const kinds = {
  proposal: 1,
  vote: 2,
  "view-change": 3,
  status: 4,
  "block-request": 5,
  blocks: 6,
  transactions: 7,
} as const satisfies Record<Message["kind"], number>;

/** kind (1) ‖ what the kind has. One frame between nodes. */
export function encodeMessage(message: Message): Buffer {
  const writer = new BinaryWriter().u8(kinds[message.kind]);
  switch (message.kind) {
    case "proposal":
      writeProposal(writer, message.proposal);
      break;
    case "vote": {
      const { vote } = message;
      writer.u64(vote.height).u32(vote.view).u8(phaseCodes[vote.phase]).fixed(vote.digest);
      writer.u16(vote.sealer).fixed(vote.signature);
      break;
    }
    case "view-change":
      writeViewChange(writer, message.change);
      if (message.block !== undefined) writeBlock(writer, message.block);
      break;
    case "status":
      writer.u64(message.height);
      break;
    case "block-request":
      writer.u64(message.fromHeight).u16(message.count);
      break;
    case "blocks":
      writer.u32(message.blocks.length);
      for (const block of message.blocks) writer.bytes(encodeFinalBlock(block));
      break;
    case "transactions":
      writer.u32(message.transactions.length);
      for (const { encoded } of message.transactions) writer.bytes(encoded);
      break;
  }
  return writer.end();
}

/**
 * Answer to a `serve-blocks` effect: as many of the encoded blocks (`encodeFinalBlock`), from the first, as one frame takes.
 *
 * @param encodedBlocks - By height ascending from the one asked for.
 */
export function encodeBlocks(encodedBlocks: readonly Buffer[]): Buffer {
  const fitting: Buffer[] = [];
  let bytes = 5;
  for (const block of encodedBlocks.slice(0, maxSyncBlocks)) {
    bytes += 4 + block.length;
    if (bytes > maxFrameBytes) break;
    fitting.push(block);
  }
  const writer = new BinaryWriter().u8(kinds.blocks).u32(fitting.length);
  for (const block of fitting) writer.bytes(block);
  return writer.end();
}

/**
 * Reads one frame. Signatures are not checked here.
 *
 * @throws {LedgerError} `ENCODING_INVALID`.
 */
export function decodeMessage(chain: Chain, bytes: Buffer): Message {
  const reader = new BinaryReader(bytes, "the message");
  if (bytes.length > maxFrameBytes) throw reader.invalid(`has more than ${maxFrameBytes} bytes`);
  const message = readMessage(chain, reader);
  reader.end();
  return message;
}

function readMessage(chain: Chain, reader: BinaryReader): Message {
  switch (reader.u8()) {
    case kinds.proposal:
      return { kind: "proposal", proposal: readProposal(chain, reader) };
    case kinds.vote:
      return { kind: "vote", vote: readVote(chain, reader) };
    case kinds["view-change"]: {
      const change = readViewChange(chain, reader);
      const block = change.prepared === undefined ? undefined : readBlock(chain.suite, reader);
      if (block !== undefined && !change.prepared?.digest.equals(block.hash))
        throw reader.invalid("has another block than its certificate names");
      return { kind: "view-change", change, block };
    }
    case kinds.status:
      return { kind: "status", height: reader.u64() };
    case kinds["block-request"]:
      return { kind: "block-request", fromHeight: reader.u64(), count: reader.u16() };
    case kinds.blocks: {
      const blocks: FinalBlock[] = [];
      const count = reader.count(maxSyncBlocks, 5);
      for (let i = 0; i < count; i++) blocks.push(decodeFinalBlock(chain.suite, reader.bytes(maxFrameBytes)));
      return { kind: "blocks", blocks };
    }
    case kinds.transactions: {
      const count = reader.count(maxGossipTransactions, 5);
      const transactions = Array.from({ length: count }, () =>
        decodeTransaction(chain.suite, reader.bytes(maxTransactionBytes)),
      );
      return { kind: "transactions", transactions };
    }
    default:
      throw reader.invalid("is of an unknown kind");
  }
}

function writeProposal(writer: BinaryWriter, proposal: Proposal): void {
  writer.u64(proposal.height).u32(proposal.view).u16(proposal.sealer).fixed(proposal.signature);
  writer.u16(proposal.justification.length);
  for (const change of proposal.justification) writeViewChange(writer, change);
  writeBlock(writer, proposal.block);
}

function readProposal(chain: Chain, reader: BinaryReader): Proposal {
  const head = { height: reader.u64(), view: readView(reader) };
  const signed = { sealer: reader.u16(), signature: reader.fixed(chain.suite.sealerSignatureBytes) };
  const count = reader.u16();
  if (count > chain.sealers.length) throw reader.invalid("has more view changes than there are sealers");
  const justification: ViewChange[] = [];
  for (let i = 0; i < count; i++) {
    const change = readViewChange(chain, reader);
    if (change.sealer <= (justification[i - 1]?.sealer ?? -1)) throw reader.invalid("has view changes out of order");
    justification.push(change);
  }
  return { ...head, ...signed, justification, block: readBlock(chain.suite, reader) };
}

function writeViewChange(writer: BinaryWriter, change: ViewChange): void {
  writer.u64(change.height).u32(change.view).u16(change.sealer).fixed(change.signature);
  writer.u8(change.prepared === undefined ? 0 : 1);
  if (change.prepared !== undefined) writeCertificate(writer, change.prepared);
}

function readViewChange(chain: Chain, reader: BinaryReader): ViewChange {
  const head = { height: reader.u64(), view: readView(reader) };
  const signed = { sealer: reader.u16(), signature: reader.fixed(chain.suite.sealerSignatureBytes) };
  return { ...head, ...signed, prepared: reader.flag() ? readCertificate(chain, reader) : undefined };
}

function readVote(chain: Chain, reader: BinaryReader): Vote {
  const height = reader.u64();
  const view = readView(reader);
  const code = reader.u8();
  const phase = code === phaseCodes.prepare ? "prepare" : code === phaseCodes.commit ? "commit" : undefined;
  if (phase === undefined) throw reader.invalid("is a vote of a phase that is not sent alone");
  const digest = reader.fixed(hashBytes);
  return {
    height,
    view,
    phase,
    digest,
    sealer: reader.u16(),
    signature: reader.fixed(chain.suite.sealerSignatureBytes),
  };
}

function readView(reader: BinaryReader): number {
  const view = reader.u32();
  if (view > maxView) throw reader.invalid(`has a view above ${maxView}`);
  return view;
}
