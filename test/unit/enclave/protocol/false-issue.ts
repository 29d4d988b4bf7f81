import { create } from "@bufbuild/protobuf";
import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import {
  type RecoveryMessage,
  RecoveryMessageSchema,
  RecoveryShareSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";
import type { ChaincodeGeneration } from "../../../../src/enclave/protocol/chaincode-keys.ts";
import { sealShares } from "../../../../src/enclave/protocol/recovery-check.ts";
import { shareHash } from "../../../../src/enclave/protocol/recovery-wrap.ts";

/** What an enclave that is none could issue: these shares, or another message around them, with everything beside them right. */
export function falseIssue(
  message: RecoveryMessage,
  holds: ChaincodeGeneration,
  shares: readonly SecretBuffer[],
  changes: Partial<RecoveryMessage> = {},
): RecoveryMessage {
  const made = create(RecoveryMessageSchema, { ...message, ...changes });
  made.shares = message.shares.map(({ mspId, encryptedShare }, index) => {
    const share = shares[index];
    if (share === undefined) throw new RangeError("there are fewer shares than organisations");
    return create(RecoveryShareSchema, { mspId, encryptedShare, shareHash: shareHash(made, mspId, share) });
  });
  made.sealedShares = sealShares(holds, made, shares);
  return made;
}
