import assert from "node:assert/strict";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { describe, it } from "node:test";
import { createKeys, createPlainKeys } from "../../../src/node/create.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { nodeKinds } from "../../../src/node/manifest.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { newManifestText, withoutSealedFile } from "../../../src/node/manifest-writer.ts";
import { keysOfKind } from "../../../src/node/node-keys.ts";
import { checkKeysAreSealed } from "../../../src/node/substitutions.ts";
import { suggestedCommand } from "../../../src/node/suggested-command.ts";
import { FakeKeyManager, NodeFolder } from "./fake-key-manager.ts";

const lightKdf = true;

describe("the keys of a new node", () => {
  for (const kind of nodeKinds)
    it(`are what a ${kind} node has, and its suggested command names them all`, async () => {
      using folder = new NodeFolder();
      const { loaded, dataKey } = await makeDataKey(folder.manifest(kind), new FakeKeyManager());
      using _key = dataKey;
      const created = await createKeys(loaded, dataKey, { lightKdf });
      assert.deepEqual(
        created.loaded.manifest.sealedFiles.map(({ name, format }) => ({ name, format })),
        keysOfKind[kind].map(({ name, format }) => ({ name, format })),
      );
      for (const entry of created.loaded.manifest.sealedFiles)
        assert.equal(existsSync(created.loaded.at(entry.path)), entry.handover === "native");
      const argv = suggestedCommand(kind, { dataFolder: "{dir}/data" });
      if (argv === undefined) return;
      folder.write(
        "node.toml",
        `${readFileSync(folder.at("node.toml"), "utf8")}\n[command]\nargv = ${JSON.stringify(argv)}\n`,
      );
      checkKeysAreSealed(loadManifest(folder.path).manifest);
      // Constellation's key is for that program, not for geth; a password is for geth before 1.15.
      const others = kind === "goquorum" ? "{key:tm}" : kind === "geth" ? "{key:password}" : "";
      const named = `${argv.join(" ")} ${others}`;
      for (const { name, handover } of created.loaded.manifest.sealedFiles)
        assert.ok(
          handover === "native" || named.includes(handover === "keystore" ? "{keystore}" : `{key:${name}}`),
          name,
        );
    });

  it("are named in the manifest's comment to geth as every version takes them, and to older ones apart", () => {
    const text = (kind: "geth" | "goquorum", more = {}) =>
      newManifestText({
        ...{ name: "n", kind, network: "net", servers: ["https://km:1"], masterKey: "alias/nodes" },
        identity: { kind: "file", folder: "identity" },
        ...more,
      });
    assert.doesNotMatch(text("geth"), /^# argv = .*(?:unlock|password)/m);
    assert.match(
      text("geth"),
      /^# argv = \["geth",.*"--keystore","\{keystore\}"\]\n# for geth before 1\.15, .* add: \["--unlock","ADDRESS","--password","\{key:password\}"\]$/m,
    );
    assert.match(text("goquorum"), /^# argv = .*"--unlock","ADDRESS","--password","\{key:password\}"\]$/m);
    assert.doesNotMatch(text("goquorum"), /before 1\.15/);
    assert.doesNotMatch(text("geth", { argv: ["geth"] }), /before 1\.15/);
  });

  for (const [index, stopped] of keysOfKind.goquorum.entries())
    it(`are completed after an end behind "${stopped.name}"`, async () => {
      using folder = new NodeFolder();
      const { loaded, dataKey } = await makeDataKey(folder.manifest("goquorum"), new FakeKeyManager());
      using _key = dataKey;
      const onKey = (name: string) => {
        if (name === stopped.name) throw new Error("ended");
      };
      await assert.rejects(createKeys(loaded, dataKey, { lightKdf, onKey }), /ended/);
      const before = loadManifest(folder.path).manifest.sealedFiles;
      assert.equal(before.length, index + 1);
      const { keys, loaded: after } = await createKeys(loadManifest(folder.path), dataKey, { lightKdf });
      assert.deepEqual(after.manifest.sealedFiles.slice(0, index + 1), before);
      assert.equal(keys.length, 4);
    });

  for (const kind of ["goquorum", "fisco", "besu"] as const)
    it(`are taken up again when they were sealed but not yet named in the manifest (${kind})`, async () => {
      using folder = new NodeFolder();
      const { loaded, dataKey } = await makeDataKey(folder.manifest(kind), new FakeKeyManager());
      using _key = dataKey;
      const first = await createKeys(loaded, dataKey, { lightKdf });
      const text = readFileSync(folder.at("node.toml"), "utf8");
      writeFileSync(
        folder.at("node.toml"),
        keysOfKind[kind].reduce((rest, { name }) => withoutSealedFile(rest, name), text),
      );
      const second = await createKeys(loadManifest(folder.path), dataKey, { lightKdf });
      assert.deepEqual(second.keys, first.keys);
      const places = ({ loaded: at }: typeof first) => at.manifest.sealedFiles.map(({ path }) => path.slice(0, 16));
      assert.deepEqual(places(second), places(first));
    });

  it("are refused when what lies there is another node's", async () => {
    using folder = new NodeFolder();
    using other = new NodeFolder();
    const keyManager = new FakeKeyManager();
    const [mine, theirs] = await Promise.all([
      makeDataKey(folder.manifest("besu"), keyManager),
      makeDataKey(other.manifest("besu", { name: "node-2" }), keyManager),
    ]);
    await createKeys(theirs.loaded, theirs.dataKey);
    await createKeys(mine.loaded, mine.dataKey);
    const text = readFileSync(folder.at("node.toml"), "utf8");
    folder.write("node.toml", withoutSealedFile(text, "nodekey"));
    writeFileSync(folder.at("sealed/nodekey.sealed"), readFileSync(other.at("sealed/nodekey.sealed")));
    await assert.rejects(createKeys(loadManifest(folder.path), mine.dataKey), { code: "IDENTITY_MISMATCH" });
  });

  it("are never made in the place of plain ones that are there", async () => {
    using folder = new NodeFolder();
    const plain = '[node]\nname = "n"\nkind = "geth"\nnetwork = "net"\nprotection = "none"\n';
    folder.write("node.toml", plain);
    const keys = await createPlainKeys(loadManifest(folder.path), { lightKdf });
    for (const { file } of keys) assert.equal(lstatSync(file).mode & 0o777, 0o600);
    const before = readFileSync(keys[0]?.file ?? "");
    await assert.rejects(createPlainKeys(loadManifest(folder.path), { lightKdf }), { code: "TARGET_EXISTS" });
    assert.deepEqual(readFileSync(keys[0]?.file ?? ""), before);
  });
});
