import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { generateBesuKey } from "../../../../src/node/key-formats/besu-key.ts";
import { generateFiscoKey } from "../../../../src/node/key-formats/fisco-key.ts";
import type { GeneratedKey } from "../../../../src/node/key-formats/format.ts";
import { generateKeystoreAccount } from "../../../../src/node/key-formats/keystore-lock.ts";
import { generateNodekey } from "../../../../src/node/key-formats/nodekey-hex.ts";
import { generatePasswordFile } from "../../../../src/node/key-formats/password-file.ts";
import { generateTesseraKeyPair } from "../../../../src/node/key-formats/tessera-lock.ts";
import { makeDataKey } from "../../../../src/node/make-data-key.ts";
import { sealFile } from "../../../../src/node/seal.ts";
import { openKeyFile } from "../../../../src/node/sealed-key.ts";
import { unsealInPlace } from "../../../../src/node/unseal.ts";
import { FakeKeyManager, NodeFolder } from "../fake-key-manager.ts";

const password = SecretBuffer.copyOf(Buffer.from("pw"));
const cost = { variant: "id", memoryKiB: 64, passes: 1, parallelism: 1 } as const;

describe("every generated key", () => {
  const makers: Readonly<Record<string, () => GeneratedKey | Promise<GeneratedKey>>> = {
    nodekey: generateNodekey,
    keystore: () => generateKeystoreAccount(password, { cost: "light" }),
    "password file": generatePasswordFile,
    "Besu key": () => generateBesuKey("p256"),
    "Tessera key": generateTesseraKeyPair,
    "locked Tessera key": () => generateTesseraKeyPair({ password, cost }),
    "FISCO ssl.key": () => generateFiscoKey("fisco", "ssl.key"),
    "FISCO sm_ssl.key": () => generateFiscoKey("fisco-sm", "sm_ssl.key"),
  };
  for (const [name, make] of Object.entries(makers))
    it(`is sealed and comes back byte for byte: ${name}`, async () => {
      using folder = new NodeFolder();
      const { loaded, dataKey } = await makeDataKey(folder.manifest("geth"), new FakeKeyManager());
      const { file, fileName, format } = await make();
      const plain = file.expose((bytes) => bytes.toString("latin1"));
      const path = folder.write(fileName, plain);
      const { entry, loaded: sealed } = sealFile(loaded, dataKey, path, { format });
      assert.equal(entry.format, format);
      const opened = openKeyFile(sealed, entry, dataKey);
      assert.ok(opened.plaintext.equals(file));
      unsealInPlace(sealed, dataKey, entry);
      assert.equal(readFileSync(path, "latin1"), plain);
    });

  it("keeps the line ends and trailing spaces of a password file", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await makeDataKey(folder.manifest("geth"), new FakeKeyManager());
    const path = folder.write("passwords", "one \r\ntwo\t\r\n\n");
    const { entry, loaded: sealed } = sealFile(loaded, dataKey, path, { format: "password-file" });
    assert.equal(entry.publicIdentity, "none");
    unsealInPlace(sealed, dataKey, entry);
    assert.equal(readFileSync(path, "latin1"), "one \r\ntwo\t\r\n\n");
  });

  it("of an account is named by its address in the manifest", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await makeDataKey(folder.manifest("geth"), new FakeKeyManager());
    const { file, fileName, address } = await generateKeystoreAccount(password, { cost: "light" });
    const path = folder.write(
      fileName,
      file.expose((bytes) => bytes.toString()),
    );
    const { entry } = sealFile(loaded, dataKey, path);
    assert.equal(entry.name, `account-${address.slice(2)}`);
    assert.equal(entry.publicIdentity, address);
  });
});
