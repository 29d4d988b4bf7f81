import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { describe, it } from "node:test";
import { openAccount } from "../../../../src/chain/sdk/open-account.ts";
import { readSdkConfig } from "../../../../src/chain/sdk-config.ts";
import { ChainFolder } from "../build/chain-folder.ts";

function configOf(folder: ChainFolder, account: string, sm = true) {
  const text = `[cryptoMaterial]\nuseSMCrypto = "${sm}"\n[network]\npeers=["127.0.0.1:20200"]\n${account}`;
  return readSdkConfig(folder.write("config.toml", text));
}

const named = '[account]\naccountFilePath = "account.pem"';

describe("a client's account", () => {
  for (const [sm, curve] of [
    [true, "sm2"],
    [false, "secp256k1"],
  ] as const)
    it(`is the key of the PEM file, on ${curve}`, async () => {
      using folder = new ChainFolder();
      const nodeId = folder.writeKey("account.pem", curve);
      await using opened = await openAccount(configOf(folder, named, sm));
      assert.equal(opened.account.algorithm, curve);
      assert.equal(opened.account.publicKey.toString("hex"), `04${nodeId}`);
      assert.equal((await opened.account.sign(Buffer.alloc(32, 1))).length, 64);
    });

  it("is refused when no file is named", async () => {
    using folder = new ChainFolder();
    await assert.rejects(openAccount(configOf(folder, "")), { code: "ACCOUNT_UNUSABLE" });
  });

  it("is refused when its file is open to others, is too long, a folder, or not there", async () => {
    using folder = new ChainFolder();
    folder.writeKey("account.pem");
    chmodSync(folder.at("account.pem"), 0o644);
    await assert.rejects(openAccount(configOf(folder, named)), { code: "FILE_UNSAFE" });
    folder.write("long.pem", Buffer.alloc(5000, 0x41));
    for (const name of ["long.pem", ".", "none.pem"])
      await assert.rejects(openAccount(configOf(folder, `[account]\naccountFilePath = "${name}"`)), {
        code: "FILE_UNUSABLE",
      });
  });

  it("is refused when its key is on the other curve, or is none", async () => {
    using folder = new ChainFolder();
    folder.writeKey("account.pem", "secp256k1");
    await assert.rejects(openAccount(configOf(folder, named)), { code: "CONFIG_UNUSABLE" });
    folder.write("account.pem", "no key at all");
    await assert.rejects(openAccount(configOf(folder, named)), { code: "KEY_FORMAT_INVALID" });
  });
});
