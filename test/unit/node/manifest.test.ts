import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NodeError } from "../../../src/node/errors.ts";
import { nodeKinds, type SealedFileEntry } from "../../../src/node/manifest.ts";
import { manifestFields, sealedFileFields } from "../../../src/node/manifest-fields.ts";
import { loadManifest, maxManifestBytes, parseManifest } from "../../../src/node/manifest-reader.ts";
import {
  newManifestText,
  withoutSealedFile,
  withSealedFile,
  withTableFields,
} from "../../../src/node/manifest-writer.ts";
import { checkKeysAreSealed } from "../../../src/node/substitutions.ts";
import { NodeFolder } from "./fake-key-manager.ts";

const given = {
  name: "node-1",
  kind: "geth",
  network: "test-net",
  servers: ["https://km-1:8443", "https://[::1]:8443"],
  masterKey: "alias/nodes",
  identity: { kind: "file", folder: "identity" },
  volumeKind: "gocryptfs",
  argv: ["geth", "--datadir", "{data}"],
} as const;
const text = newManifestText(given);

const entry: SealedFileEntry = {
  name: "nodekey",
  path: "geth/nodekey",
  sealed: "sealed/nodekey.sealed",
  format: "nodekey-hex",
  handover: "fd",
  publicIdentity: "ab".repeat(64),
  version: 1,
  reads: 1,
  link: false,
};

function refused(manifest: string, pattern: RegExp): void {
  assert.throws(
    () => parseManifest(manifest),
    (error) => {
      assert.ok(error instanceof NodeError);
      assert.equal(error.code, "MANIFEST_INVALID");
      assert.equal(error.exitCode, 2);
      assert.match(error.message, pattern);
      return true;
    },
  );
}

describe("a new node manifest", () => {
  it("reads back as what was asked for, with every default filled in", () => {
    const manifest = parseManifest(text);
    assert.deepEqual(manifest.node, { name: "node-1", kind: "geth", network: "test-net", protection: "key-manager" });
    assert.deepEqual(manifest.keyManager.servers, given.servers);
    assert.equal(manifest.dataKey.suite, "intl");
    assert.equal(manifest.volume?.kind, "gocryptfs");
    assert.equal(manifest.command?.wipeAfterSeconds, 60);
    assert.equal(manifest.lease.seconds, 0);
    assert.deepEqual(manifest.sealedFiles, []);
  });

  it("can be made for every kind, and takes the sm suite for fisco-sm", () => {
    for (const kind of nodeKinds) parseManifest(newManifestText({ ...given, kind }));
    assert.equal(parseManifest(newManifestText({ ...given, kind: "fisco-sm" })).dataKey.suite, "sm");
  });

  it("explains every field in a comment", () => {
    for (const fields of Object.values(manifestFields))
      for (const { meaning } of Object.values(fields)) assert.ok(text.includes(`# ${meaning}`), meaning);
  });

  it("refuses to be made with a name that would not read back", () => {
    assert.throws(() => newManifestText({ ...given, name: 'a"\n[x]' }), { code: "MANIFEST_INVALID" });
  });
});

describe("the manifest reader", () => {
  it("refuses an unknown field and names the nearest one", () => {
    refused(text.replace("servers =", "server ="), /"key_manager.server"; did you mean key_manager.servers/);
    refused(`${text}\n[volum]\nkind = "level"\n`, /"volum"; did you mean volume/);
    refused(text.replace('kind = "gocryptfs"', 'kind = "gocryptf"'), /volume.kind: .*did you mean gocryptfs/);
  });

  it("refuses every field that is required when it is missing", () => {
    for (const [pattern, path] of [
      [/^name = .*$/m, "node.name"],
      [/^network = .*$/m, "node.network"],
      [/^servers = .*$/m, "key_manager.servers"],
      [/^master_key = .*$/m, "key_manager.master_key"],
      [/^argv = .*$/m, "command.argv"],
    ] as const)
      refused(text.replace(pattern, ""), new RegExp(`${path.replace(".", "\\.")} is missing`));
  });

  it("refuses values of the wrong type or out of range, with the field's path", () => {
    refused(text.replace("[lease]", "[lease]\nseconds = -1"), /lease.seconds: must be a whole number/);
    refused(text.replace("[lease]", "[lease]\nseconds = 1.5"), /lease.seconds/);
    refused(text.replace("[lease]", '[lease]\nseconds = "10"'), /lease.seconds/);
    refused(text.replace(/^servers = .*$/m, 'servers = "https://km"'), /key_manager.servers: must be a list/);
    refused(text.replace(/^servers = .*$/m, 'servers = ["http://km:1"]'), /key_manager.servers/);
    refused(text.replace(/^servers = .*$/m, "servers = []"), /key_manager.servers/);
    refused(text.replace(/^name = .*$/m, 'name = "../etc"'), /node.name/);
    refused(text.replace(/^name = .*$/m, 'name = "a\\u0000b"'), /node.name: holds a control character/);
    refused("node = 1", /node is not a table/);
  });

  it("refuses text that is not TOML without quoting it", () => {
    assert.throws(
      () => parseManifest("-----BEGIN PRIVATE KEY-----\nTUlJRXNlY3JldA=="),
      (error) => error instanceof NodeError && !error.message.includes("TUlJ"),
    );
  });

  it("refuses a manifest over the size limit", () => {
    refused(`${text}#${"x".repeat(maxManifestBytes)}`, /over/);
  });

  it("refuses a check value without the data key's id, and two sealed files of one name", () => {
    refused(withTableFields2("check", "00".repeat(16)), /belong together/);
    const twice = withSealedFile(text, entry) + withSealedFile("", entry);
    refused(twice, /two sealed files/);
  });

  it("refuses substitutions that nothing could fill", () => {
    const argv = (line: string) => text.replace(/^argv = .*$/m, `argv = ${line}`);
    const unsealed = parseManifest(argv('["geth", "{key:nodekey}"]'));
    assert.throws(() => checkKeysAreSealed(unsealed), { code: "COMMAND_UNUSABLE", hint: /node seal/ });
    checkKeysAreSealed(parseManifest(withSealedFile(argv('["geth", "{key:nodekey}", "{fd:level}"]'), entry)));
    refused(withSealedFile(argv('["x", "{fd:nodekey}"]'), { ...entry, handover: "fifo" }), /handed over as fifo/);
    refused(withSealedFile(argv('["x", "{key:nodekey}"]'), { ...entry, handover: "native" }), /opens this file itself/);
    refused(newManifestText({ ...given, volumeKind: "level" }).replace(/^\[volume\][^[]*/m, ""), /no \[volume\]/);
  });

  it("leaves other braces alone", () => {
    const json = text.replace(/^argv = .*$/m, `argv = ["x", '{"a":{"b":1}}']`);
    assert.equal(parseManifest(json).command?.argv[1], '{"a":{"b":1}}');
  });

  it("refuses environment names that are ours", () => {
    refused(`${text.replace("[restart]", '[command.environment]\nSTRONGROOM_X = "1"\n\n[restart]')}`, /environment/);
  });

  it("says what to do when there is no manifest", () => {
    using folder = new NodeFolder();
    assert.throws(() => loadManifest(folder.path), { code: "MANIFEST_NOT_FOUND", exitCode: 2, hint: /node init/ });
  });

  function withTableFields2(name: string, value: string): string {
    return text.replace("[data_key]", `[data_key]\n${name} = "${value}"`);
  }
});

describe("editing a manifest", () => {
  it("adds sealed files, keeps every comment, and takes them out again", () => {
    const one = withSealedFile(text, entry);
    const two = withSealedFile(one, { ...entry, name: "other", handover: "fifo", reads: 4, link: true });
    assert.ok(two.startsWith(text.trimEnd()));
    assert.deepEqual(parseManifest(two).sealedFiles[0], entry);
    assert.equal(parseManifest(two).sealedFiles[1]?.reads, 4);
    assert.equal(withoutSealedFile(withoutSealedFile(two, "nodekey"), "other").trimEnd(), text.trimEnd());
  });

  it("refuses to take out a file that is not there", () => {
    assert.throws(() => withoutSealedFile(text, "nodekey"), { code: "INPUT_INVALID" });
  });

  it("sets fields in place, once however often", () => {
    const fields = { id: "00000000-0000-4000-8000-000000000001", version: 1, check: "ab".repeat(16) };
    const edited = withTableFields(withTableFields(text, "data_key", fields), "data_key", fields);
    assert.equal(parseManifest(edited).dataKey.check, "ab".repeat(16));
    assert.equal(edited.match(/^check =/gm)?.length, 1);
  });

  it("refuses a layout that would be edited wrongly", () => {
    const tricky = text
      .replace(/^argv = .*$/m, 'argv = ["x", """\n[data_key]\n"""]')
      .replace("[data_key]\n#", "[ data_key ]\n#");
    assert.throws(() => withTableFields(tricky, "data_key", { version: 1 }), { code: "MANIFEST_INVALID" });
  });

  it("documents no field twice", () => {
    const names = [...Object.keys(sealedFileFields)];
    assert.equal(new Set(names).size, names.length);
  });
});
