import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { sealFile, sealSteps } from "../../../src/node/seal.ts";
import { openKeyFile } from "../../../src/node/sealed-key.ts";
import { FakeKeyManager, NodeFolder } from "../../unit/node/fake-key-manager.ts";

const program = join(import.meta.dirname, "seal-program.ts");
const nodePem: string = JSON.parse(readFileSync(join(import.meta.dirname, "../../vectors/fisco-legacy.json"), "utf8"))
  .nodeKeyFiles[0].plainPem;

describe("a seal that is killed", () => {
  for (const kind of ["geth", "fisco"] as const)
    for (const step of sealSteps)
      it(`after "${step}" (${kind}) loses nothing, and the same call finishes it`, async () => {
        using folder = new NodeFolder();
        const master = randomBytes(32);
        const masterFile = folder.write("master", master);
        const keyManager = new FakeKeyManager({ master: SecretBuffer.take(master) });
        const { dataKey } = await makeDataKey(folder.manifest(kind), keyManager);
        const file = folder.write("node.pem", nodePem);

        const killed = spawnSync(process.execPath, [program, folder.path, masterFile, file, step]);
        assert.equal(killed.signal, "SIGKILL", String(killed.stderr));

        const { loaded, entry } = sealFile(loadManifest(folder.path), dataKey, step === "removed" ? again() : file);
        assert.ok(openKeyFile(loaded, entry, dataKey).plaintext.equals(Buffer.from(nodePem)));
        assert.equal(loaded.manifest.sealedFiles.length, 1);
        for (const name of readdirSync(folder.path, { recursive: true, encoding: "utf8" }))
          assert.doesNotMatch(name, /strongroom-wipe|\.new-/);
        if (kind === "geth") assert.equal(existsSync(file), false);
        else assert.match(readFileSync(file, "latin1"), /^[0-9a-f]+$/);

        /** After the last step nothing is left to do: the original has to come back for another call. */
        function again(): string {
          return kind === "fisco" ? file : folder.write("node.pem", nodePem);
        }
      });
});
