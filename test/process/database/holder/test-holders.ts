import { readFileSync, writeFileSync } from "node:fs";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { holderOver, type OpenedKeyHolder } from "../../../../src/database/holder/opened-holder.ts";

type KeyPair = ReturnType<typeof generateKeyPair>;

/** A key pair of these tests, in the clear: `04 ‖ X ‖ Y ‖ private scalar`. */
export function writeKeyPair(file: string): KeyPair {
  const pair = generateKeyPair("sm2");
  pair.scalar.expose((scalar) => writeFileSync(file, Buffer.concat([pair.publicKey, scalar]), { mode: 0o600 }));
  return pair;
}

export async function holderOfFile(file: string): Promise<OpenedKeyHolder> {
  const bytes = readFileSync(file);
  using scalar = SecretBuffer.take(bytes.subarray(65));
  return holderOver(await softOpener(scalar, bytes.subarray(0, 65)));
}
