/**
 * Stands in for a program with encryption of its own: reads its key from descriptor 3, as text or bytes, and keeps each
 * value as `nonce ‖ ciphertext ‖ tag` under a key hashed from it.
 *
 *   node self-encrypting-program.ts put FOLDER NAME VALUE     node self-encrypting-program.ts get FOLDER NAME
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [verb, folder = "", name = "", value = ""] = process.argv.slice(2);
const key = createHash("sha256").update(readFileSync(3)).digest();
const path = join(folder, name);
if (verb === "put") {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  writeFileSync(path, Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]));
} else {
  const sealed = readFileSync(path);
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
  decipher.setAuthTag(sealed.subarray(-16));
  process.stdout.write(Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]));
}
