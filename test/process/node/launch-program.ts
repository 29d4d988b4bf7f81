/** Launches a node with the fake key manager: `launch-program.ts FOLDER MASTER-KEY-FILE MOOD-FILE`. */
import { readFileSync } from "node:fs";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { launchNode } from "../../../src/node/launch.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { FakeKeyManager } from "../../unit/node/fake-key-manager.ts";

const [folder = "", masterFile = "", moodFile = ""] = process.argv.slice(2);
const keyManager = new FakeKeyManager({ master: SecretBuffer.take(readFileSync(masterFile)), moodFile });
const tell = (message: string) => process.stderr.write(`launch: ${message}\n`);
try {
  process.exitCode = await launchNode(loadManifest(folder), { keyManager, tell, allowUnsafe: true });
} catch (error) {
  tell(`error: ${(error as Error).message}`);
  process.exitCode = (error as { exitCode?: number }).exitCode ?? 1;
}
