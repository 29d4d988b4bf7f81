import { timingSafeEqual } from "node:crypto";
import { EnclaveError } from "../errors.ts";
import type { FabricStub } from "./fabric-state.ts";

/** Beside the composite keys of the records, which all begin with U+0000. */
const key = "channel_hash";
const hashBytes = 32;

/** Names, for the service of one organisation, the only hash that its peers endorse: 64 lower-case hex digits. */
export const pinVariable = "STRONGROOM_CHANNEL_HASH";

/**
 * Chaincode has no way to a channel's genesis block, so an admin tells ERCC its SHA-256 once, and every endorser whose service
 * has it pinned refuses another.
 *
 * @param args - The hash as 64 lower-case hex digits.
 * @throws EnclaveError UNAUTHORIZED; MALFORMED; WRONG_CONTEXT: not the pinned one; ALREADY_SET
 */
export async function setChannelHash(stub: FabricStub, isAdmin: boolean, args: readonly string[]): Promise<string> {
  if (!isAdmin) throw new EnclaveError("UNAUTHORIZED", "only an admin tells ERCC the hash of its channel");
  const [text = ""] = args;
  if (args.length !== 1) throw new EnclaveError("MALFORMED", "setChannelHash takes one argument");
  const hash = parse(text, "the channel hash");
  checkPin(hash);
  const present = await stub.getState(key);
  if (present.length > 0) throw new EnclaveError("ALREADY_SET", "ERCC has the hash of its channel already");
  await stub.putState(key, hash);
  return "";
}

/** @throws EnclaveError NOT_FOUND: none is set; WRONG_CONTEXT: the one that is set is not the pinned one */
export async function readChannelHash(stub: FabricStub): Promise<Uint8Array> {
  const hash = await stub.getState(key);
  if (hash.length !== hashBytes)
    throw new EnclaveError("NOT_FOUND", "ERCC has not been told the hash of its channel: call setChannelHash");
  checkPin(hash);
  return hash;
}

function checkPin(hash: Uint8Array): void {
  const pin = process.env[pinVariable];
  if (pin !== undefined && !timingSafeEqual(parse(pin, pinVariable), hash))
    throw new EnclaveError(
      "WRONG_CONTEXT",
      "the channel hash is not the one that this organisation's service has pinned",
    );
}

function parse(text: string, name: string): Buffer {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new EnclaveError("MALFORMED", `${name} is not 64 lower-case hex digits`);
  return Buffer.from(text, "hex");
}
