import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { packAny } from "../../../../src/enclave/messages/any.ts";
import {
  RecoveryMessageSchema,
  SignedRecoveryMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../../../../src/enclave/messages/strict.ts";
import { unsealState } from "../../../../src/enclave/process/sealed-state.ts";
import { encryptTo } from "../../../../src/enclave/protocol/hybrid-encryption.ts";
import { readEncryptionKey } from "../../../../src/enclave/protocol/key-formats.ts";
import { openShare, shareContext } from "../../../../src/enclave/protocol/recovery.ts";
import { readRecovery } from "../../../../src/enclave/protocol/recovery-form.ts";
import { signMessage } from "../../../../src/enclave/protocol/signing.ts";
import { openProcessBackend } from "../../../../src/enclave/tee/process/backend.ts";
import { rsaPair } from "../ercc/test-keys.ts";
import { falseIssue } from "../protocol/false-issue.ts";
import type { World } from "./world.ts";

/**
 * What who has an enclave's platform, and so its keys, could issue in its name: the third organisation's share does not fit the
 * others, and all else about it is right.
 *
 * @param blob - The enclave's, as it is sealed under the organisation's platform.
 * @param recovery - SignedRecoveryMessage that the enclave made.
 */
export async function falseShares(world: World, mspId: string, blob: Buffer, recovery: Buffer): Promise<Buffer> {
  const message = readRecovery(decodeStrict(SignedRecoveryMessageSchema, recovery));
  const id = Buffer.from(message.issuerEnclaveId).toString("hex").toUpperCase();
  await using backend = await openProcessBackend({ platform: world.platform(mspId), code: world.code() });
  const { identity, generations } = await unsealState(backend, blob, id);
  const keys = generations[0]?.keys;
  const third = message.shares[2];
  assert(keys && third);
  const shares = message.shares.map((one, index) => openShare(message, one.mspId, rsaPair(index).privateKey));
  using wrong = SecretBuffer.random(33);
  const ek = readEncryptionKey(rsaPair(2).publicPem, "Organisation.recovery_key");
  third.encryptedShare = encryptTo(ek, shareContext(message, third.mspId), wrong);
  const packed = packAny(RecoveryMessageSchema, falseIssue(message, keys, [...shares.slice(0, 2), wrong]));
  const signature = signMessage("recovery", packed.value, identity.signingKey);
  const signed = create(SignedRecoveryMessageSchema, { serializedRecovery: packed, signature });
  return encode(SignedRecoveryMessageSchema, signed);
}
