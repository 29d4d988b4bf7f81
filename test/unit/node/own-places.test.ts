import assert from "node:assert/strict";
import { mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { describe, it } from "node:test";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { type NodeKind, nodeKinds } from "../../../src/node/manifest.ts";
import { loadManifest, parseManifest } from "../../../src/node/manifest-reader.ts";
import { ownPlaces } from "../../../src/node/own-places.ts";
import { FakeKeyManager, NodeFolder } from "./fake-key-manager.ts";

/** The text of a `[[sealed_file]]` and what goes before it. */
function entry(sealed: string, { path = "elsewhere/plain", handover = "fd" } = {}): string {
  const fields = { name: "k", path, sealed, format: "opaque", handover, public_identity: "none" };
  const lines = Object.entries(fields).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
  return `\n[[sealed_file]]\n${lines.join("\n")}\n`;
}

function withCommand(argv: readonly string[]): string {
  return `\n[command]\nargv = ${JSON.stringify(argv)}\n`;
}

const refused: readonly (readonly [NodeKind, string])[] = [
  ["geth", "data/geth/nodekey"],
  ["geth", "/var/lib/geth/geth/nodekey"],
  ["geth", "data/keystore/account.sealed"],
  ["geth", "sealed/UTC--2016-03-22T12-57-55.920751759Z--7ef5a6135f1fd6a02593eedc869c6d41d934aef8"],
  ["goquorum", "data/geth/nodekey"],
  ["goquorum", "c/tm.key"],
  ["besu", "data/key"],
  ["besu", "data/key.pub"],
  ["tessera", "tm.key"],
  ["tessera", "./a/../tm.pub"],
  ["ethereumjs", "d/nodekey"],
  ["fisco", "conf/node.pem"],
  ["fisco-sm", "conf/sm_ssl.key"],
  ["generic", "msp/keystore/priv_sk"],
  ["generic", "tls/server.key"],
];

describe("a sealed file at a place of the program's own", () => {
  it("has a table for every kind of node", () => {
    assert.deepEqual(Object.keys(ownPlaces).sort(), [...nodeKinds].sort());
  });

  for (const [kind, sealed] of refused)
    it(`is refused with a reason (${kind}: ${sealed})`, () => {
      using folder = new NodeFolder();
      assert.throws(
        () => folder.manifest(kind, {}, entry(sealed)),
        (error: Error & { code?: string; hint?: string }) => {
          assert.equal(error.code, "MANIFEST_INVALID");
          assert.match(error.message, /must not lie at .*: \w+/);
          assert.match(error.hint ?? "", /sealed\//);
          return true;
        },
      );
    });

  it("is accepted beside it, for every kind", () => {
    for (const kind of nodeKinds) {
      using folder = new NodeFolder();
      assert.equal(folder.manifest(kind, {}, entry("sealed/k.sealed")).manifest.sealedFiles.length, 1);
    }
  });

  it("is accepted where it is the program's own format", () => {
    using folder = new NodeFolder();
    const own = entry("conf/node.pem", { path: "conf/node.pem", handover: "native" });
    assert.equal(folder.manifest("fisco", {}, own).manifest.sealedFiles[0]?.handover, "native");
  });

  it("is refused where any of the plain files was", () => {
    using folder = new NodeFolder();
    assert.throws(() => folder.manifest("generic", {}, entry("a/secret", { path: "./a/secret" })), /looks for k there/);
  });

  for (const argv of [
    ["geth", "--keystore", "{dir}/accounts"],
    ["geth", "--keystore={dir}/accounts"],
    ["geth", "--keystore", "accounts"],
  ])
    it(`is refused in the folder that ${argv.slice(1).join(" ")} names`, () => {
      using folder = new NodeFolder();
      const added = withCommand(argv) + entry("accounts/k.sealed");
      assert.throws(() => folder.manifest("geth", {}, added), /every file of the folder that --keystore names/);
    });

  it("is refused when the command names it to the program", () => {
    using folder = new NodeFolder();
    const added = withCommand(["besu", "--node-private-key-file={dir}/sealed/k.sealed"]) + entry("sealed/k.sealed");
    assert.throws(() => folder.manifest("besu", {}, added), /the command names it/);
  });

  it("is refused behind a link to such a place", () => {
    using folder = new NodeFolder();
    mkdirSync(folder.at("data/keystore"), { recursive: true });
    symlinkSync(folder.at("data/keystore"), folder.at("sealed"));
    assert.throws(() => folder.manifest("geth", {}, entry("sealed/k.sealed")), /keystore folder/);
  });

  it("is refused on the volume, which is opened after the keys", () => {
    using folder = new NodeFolder();
    assert.throws(
      () => folder.manifest("geth", { volumeKind: "gocryptfs" }, entry("volume/k.sealed")),
      /after the keys/,
    );
  });

  it("is refused before anything is sealed or written", async () => {
    using folder = new NodeFolder();
    const { loaded, dataKey } = await makeDataKey(folder.manifest("geth"), new FakeKeyManager());
    using _key = dataKey;
    mkdirSync(folder.at("data/keystore"), { recursive: true });
    symlinkSync(folder.at("data/keystore"), folder.at("sealed"));
    const { sealFile } = await import("../../../src/node/seal.ts");
    const plain = folder.write("secret", "x");
    assert.throws(() => sealFile(loaded, dataKey, plain, { format: "opaque" }), { code: "MANIFEST_INVALID" });
    assert.equal(readFileSync(plain, "utf8"), "x");
    assert.equal(loadManifest(folder.path).manifest.sealedFiles.length, 0);
  });

  it("of two accounts must have two names", () => {
    using folder = new NodeFolder();
    const one = entry("sealed/a.sealed", { path: "a/UTC--x", handover: "keystore" });
    const two = entry("sealed/b.sealed", { path: "b/UTC--x", handover: "keystore" }).replace('"k"', '"l"');
    assert.throws(() => folder.manifest("geth", {}, one + two), /two keystore files/);
  });
});

describe("a manifest without protection", () => {
  const plain = '[node]\nname = "n"\nkind = "geth"\nnetwork = "net"\nprotection = "none"\n';

  it("needs no key manager", () => {
    assert.equal(parseManifest(plain).node.protection, "none");
  });

  for (const table of [
    '[key_manager]\nservers = ["https://km:1"]\nmaster_key = "alias/k"',
    '[identity]\nkind = "file"\nfolder = "i"',
    '[data_key]\nsuite = "intl"',
    '[volume]\nkind = "gocryptfs"',
    entry("sealed/k.sealed"),
  ])
    it(`holds nothing that would need one (${table.trim().split("\n")[0]})`, () => {
      assert.throws(() => parseManifest(`${plain}${table}\n`), { code: "MANIFEST_INVALID", message: /protection/ });
    });

  it("has no lease", () => {
    assert.throws(() => parseManifest(`${plain}[lease]\nseconds = 10\n`), /no lease/);
  });

  it("is never the meaning of a word that is mistyped", () => {
    assert.throws(() => parseManifest(plain.replace('"none"', '"non"')), /did you mean none/);
    assert.throws(() => parseManifest(plain.replace('"none"', '""')), { code: "MANIFEST_INVALID" });
  });
});
