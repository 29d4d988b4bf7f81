import { blockMetadata, readBlock } from "../ledger/block.ts";
import { readResponsePayload } from "../ledger/endorsement.ts";
import { readMessage } from "../ledger/fabric-message.ts";
import type { LedgerConnection } from "../ledger/ledger.ts";
import { headerTypes, readHeaders, readInvocation } from "../ledger/proposal.ts";
import { validationCodes } from "../ledger/validation-codes.ts";
import { ChannelHeaderSchema, EnvelopeSchema, PayloadSchema } from "../messages/generated/fabric/common_pb.ts";
import {
  ChaincodeActionPayloadSchema,
  SerializedIdentitySchema,
  TransactionSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import { KVRWSetSchema, TxReadWriteSetSchema } from "../messages/generated/fabric/rwset_pb.ts";

export interface LedgerWrite {
  /** The key; of a record its type and attributes. */
  readonly key: readonly string[];
  readonly isDelete: boolean;
}

/** A transaction as the ledger has it. */
export interface LedgerStep {
  readonly blockNumber: number;
  readonly txId: string;
  /** The proposal's timestamp, which its client picked: milliseconds since 1970. */
  readonly atMs: number;
  readonly mspId: string;
  readonly chaincode: string;
  readonly transaction: string;
  readonly args: readonly string[];
  /** What it writes under its chaincode's name, in order. */
  readonly writes: readonly LedgerWrite[];
  /** `VALID`, or Fabric's word for why it is not. */
  readonly outcome: string;
}

/** @param height - How many blocks there are; later ones are not waited for. @returns In the ledger's order */
export async function readLedgerSteps(connection: LedgerConnection, height: bigint): Promise<readonly LedgerStep[]> {
  const steps: LedgerStep[] = [];
  if (height === 0n) return steps;
  const stop = new AbortController();
  for await (const bytes of connection.blocks(0n, stop.signal)) {
    const { number, envelopes, metadata } = readBlock(bytes);
    const codes = metadata[blockMetadata.validationCodes] ?? new Uint8Array();
    for (const [position, envelope] of envelopes.entries()) {
      const step = readStep(envelope, Number(number), nameOfCode(codes[position]));
      if (step !== undefined) steps.push(step);
    }
    if (number >= height - 1n) stop.abort();
  }
  return steps;
}

/** Undefined for what calls no chaincode. */
function readStep(envelope: Uint8Array, blockNumber: number, outcome: string): LedgerStep | undefined {
  const { header, data } = readMessage(PayloadSchema, readMessage(EnvelopeSchema, envelope).payload);
  if (header === undefined) return undefined;
  if (readMessage(ChannelHeaderSchema, header.channelHeader).type !== headerTypes.endorserTransaction) return undefined;
  const { txId, timestampMs, creator } = readHeaders(header);
  const [action] = readMessage(TransactionSchema, data).actions;
  if (action === undefined) return undefined;
  const { chaincodeProposalPayload, action: endorsed } = readMessage(ChaincodeActionPayloadSchema, action.payload);
  const { chaincode, args } = readInvocation(header, chaincodeProposalPayload);
  const [transaction = "", ...rest] = args.map((arg) => Buffer.from(arg).toString("utf8"));
  const { mspid } = readMessage(SerializedIdentitySchema, creator);
  const writes = endorsed === undefined ? [] : readWrites(endorsed.proposalResponsePayload, chaincode);
  return { blockNumber, txId, atMs: timestampMs, mspId: mspid, chaincode, transaction, args: rest, writes, outcome };
}

function readWrites(responsePayload: Uint8Array, chaincode: string): readonly LedgerWrite[] {
  const { results } = readResponsePayload(responsePayload);
  return readMessage(TxReadWriteSetSchema, results)
    .nsRwset.filter(({ namespace }) => namespace === chaincode)
    .flatMap(({ rwset }) => readMessage(KVRWSetSchema, rwset).writes)
    .map(({ key, isDelete }) => ({ key: key.split("\u0000").filter((part) => part !== ""), isDelete }));
}

function nameOfCode(code: number | undefined): string {
  return Object.entries(validationCodes).find(([, number]) => number === code)?.[0] ?? `code ${code ?? "unknown"}`;
}
