/**
 * Opens a sealfs volume with a master key that it never opens an envelope with: `silent-owner.ts FOLDER PUBLIC-KEY`, the data key on standard input.
 * Prints `open` when the volume is, `asked` when an envelope is to be opened, and stays until it is killed.
 */
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../../src/volume/drivers.ts";

const [folder = "", publicKey = ""] = process.argv.slice(2);
using dataKey = SecretBuffer.take(readFileSync(0));
const keyHolder = {
  publicKey: Buffer.from(publicKey, "hex"),
  unwrap: () => {
    process.stdout.write("asked\n");
    return new Promise<SecretBuffer>(() => {});
  },
};
await (await volumeDriver("sealfs")).open({ folder }, dataKey, { keyHolder });
process.stdout.write("open\n");
setInterval(() => {}, 60_000);
