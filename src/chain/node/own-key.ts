import { nodeIdOf } from "../../crypto/curve.ts";
import type { ChainNodeConfig } from "../build/config-reader.ts";
import { readNodeId } from "../build/node-key-folder.ts";
import type { DigestSigner } from "../ledger/signer.ts";
import { ChainNodeError } from "./errors.ts";

/**
 * A key in a cipher machine or a KMS must be the one whose public half is in node.pem. The list of sealers does not tell: under
 * a mistyped index lies the key of another node of the chain, and two nodes that sign with one key, each with a guard of its
 * own, would sign two votes of one height.
 *
 * @throws {ChainNodeError} `SIGNER_MISMATCH`.
 * @throws {ChainBuildError} `NODE_KEYS_INVALID` when node.pem is missing or no key of the chain's curve.
 */
export function checkOwnKey(
  { signing, genesis }: Pick<ChainNodeConfig, "signing" | "genesis">,
  signer: DigestSigner,
): void {
  if (signing.kind === "file") return;
  const own = readNodeId(signing.publicKeyPath, genesis.smCrypto ? "sm2" : "secp256k1");
  const found = nodeIdOf(signer.publicKey);
  if (own === found) return;
  const where = signing.kind === "hsm" ? `key_index ${signing.hsm.keyIndex}` : `kms_key ${signing.kms.key}`;
  throw new ChainNodeError(
    "SIGNER_MISMATCH",
    `under ${where} is the key ${short(found)}, this node's is ${short(own)} (${signing.publicKeyPath}): another node's key, or a changed one`,
  );
}

function short(nodeId: string): string {
  return `${nodeId.slice(0, 16)}…`;
}
