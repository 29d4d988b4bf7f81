/** Puts a volume under another data key: `rekey-program.ts FOLDER`; both keys, 32 bytes each, on standard input, the old one first. */
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { rekeyVolume } from "../../../../src/volume/sealfs-rekey.ts";

const [folder = ""] = process.argv.slice(2);
const keys = readFileSync(0);
using oldKey = SecretBuffer.copyOf(keys.subarray(0, 32));
using newKey = SecretBuffer.copyOf(keys.subarray(32, 64));
keys.fill(0);
await rekeyVolume({ folder }, oldKey, newKey);
