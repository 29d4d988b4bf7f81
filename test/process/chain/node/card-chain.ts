import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";
import type { TestCard } from "../../../sdf-card/build.ts";
import { LocalChain } from "./local-chain.ts";

/** Where the four nodes' keys are in the card. */
export const cardIndices = [43, 44, 45, 46] as const;

/**
 * Four nodes with keys that were made outside and imported into the card, as the document's first way says.
 *
 * @param folder - For the key and PIN files.
 */
export function chainOfCard(card: TestCard, pin: string, folder: string): Promise<LocalChain> {
  const keys = join(folder, "nodeKeyDir");
  mkdirSync(keys);
  for (const [number, index] of cardIndices.entries()) {
    const path = join(keys, `node${number}.pem`);
    using scalar = generateKeyPair("sm2").scalar;
    using pem = writePrivateKey("sm2", scalar, "pkcs8");
    pem.expose((bytes) => writeFileSync(path, bytes, { mode: 0o600 }));
    card.admin("import", String(index), path);
  }
  const pinFile = join(folder, "pin");
  writeFileSync(pinFile, `${pin}\n`, { mode: 0o600 });
  const machine = ["--key-index", cardIndices.join(), "--hsm-lib-path", card.library, "--pin-file", pinFile];
  return LocalChain.build("-s", "-H", "-n", keys, ...machine);
}
