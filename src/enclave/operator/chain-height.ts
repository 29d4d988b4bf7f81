import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { EnclaveError } from "../errors.ts";
import type { LedgerConnection } from "../ledger/ledger.ts";

/** Fabric's system chaincode for questions about the chain. */
const chainQueries = "qscc";
const heightField = 1;

/**
 * How many blocks the own organisation's peer has.
 *
 * @throws EnclaveError MALFORMED: the answer is no common.BlockchainInfo; LEDGER_UNAVAILABLE
 */
export async function queryHeight(connection: LedgerConnection): Promise<bigint> {
  return readHeight(await connection.evaluate(chainQueries, "GetChainInfo", [connection.channelId]));
}

/** The height within common.BlockchainInfo. */
function readHeight(bytes: Uint8Array): bigint {
  try {
    const reader = new BinaryReader(bytes);
    let height = 0n;
    while (reader.pos < reader.len) {
      const [number, wireType] = reader.tag();
      if (number === heightField && wireType === WireType.Varint) height = BigInt(reader.uint64());
      else reader.skip(wireType, number);
    }
    if (height > 0n && reader.pos === reader.len) return height;
  } catch {
    // Said below.
  }
  throw new EnclaveError("MALFORMED", "GetChainInfo answered something that is no BlockchainInfo of a channel");
}
