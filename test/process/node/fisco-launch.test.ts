import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { releaseDataKey } from "../../../src/node/data-key.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { updateManifest, withTableFields } from "../../../src/node/manifest-writer.ts";
import { sealFile } from "../../../src/node/seal.ts";
import { storageSecurityBlock } from "../../../src/node/storage-security.ts";
import { reservePort } from "../../reserved-ports.ts";
import { FakeKeyManager } from "../../unit/node/fake-key-manager.ts";
import { LaunchedNode } from "./launched-node.ts";

const standIn = join(import.meta.dirname, "../../fisco-stand-in/fisco-node-stand-in.ts");
const nodeKeyFiles: { mode: string; plainPem?: string }[] = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../vectors/fisco-legacy.json"), "utf8"),
).nodeKeyFiles;

/** A FISCO node whose consensus key is sealed, and whose config.ini names its sidecar. */
async function fiscoNode(kind: "fisco" | "fisco-sm", format: string) {
  const argv = JSON.stringify([process.execPath, standIn, "{dir}/config.ini"]);
  const node = await LaunchedNode.sealed(`argv = ${argv}`, { kind });
  const port = await reservePort();
  let loaded = updateManifest(loadManifest(node.folder.path), (text) => withTableFields(text, "sidecar", { port }));
  mkdirSync(node.folder.at("conf"));
  const plainPem = nodeKeyFiles.find((file) => file.mode === (kind === "fisco-sm" ? "sm" : "standard"))?.plainPem ?? "";
  const file = node.folder.write("conf/node.pem", plainPem);
  const master = SecretBuffer.take(readFileSync(node.outside("master")));
  using dataKey = await releaseDataKey(loaded, new FakeKeyManager({ master }));
  const outcome = sealFile(loaded, dataKey, file);
  loaded = outcome.loaded;
  const chain = `[chain]\nsm_crypto=${kind === "fisco-sm"}\n[storage]\nformat=${format}\n`;
  const security = "[security]\nprivate_key_path=conf/node.pem\n";
  writeFileSync(node.folder.at("config.ini"), `${storageSecurityBlock(loaded)}\n${chain}${security}`);
  return { node, nodeId: outcome.identity.nodeId ?? "", file, plainPem };
}

describe("launching an unmodified FISCO BCOS node (a stand-in) with its sidecar", () => {
  for (const kind of ["fisco", "fisco-sm"] as const)
    for (const format of ["v3", "v3.3"])
      it(`${kind}, ${format}: it opens its own key with what the sidecar answers, and goes on after a restart`, async () => {
        const { node, nodeId } = await fiscoNode(kind, format);
        await using _node = node;
        for (let start = 0; start < 2; start++) {
          const { code, stdout, stderr } = await node.run();
          assert.equal(code, 0, stderr);
          assert.ok(stdout.includes(nodeId), stdout);
        }
      });

  it("is refused with its key file as it was, and starts nothing", async () => {
    const { node } = await fiscoNode("fisco", "v3");
    await using _node = node;
    const before = node.snapshot();
    node.mood("refuse");
    const { code, stdout } = await node.run();
    assert.equal(code, 3);
    assert.equal(stdout, "");
    assert.equal(node.snapshot(), before);
  });

  it("is stopped before the start when its key file holds another key, or is plain again", async () => {
    const { node, file, plainPem } = await fiscoNode("fisco", "v3");
    await using _node = node;
    const text = readFileSync(file, "latin1");
    for (const bad of [plainPem, text.replace(/^./, (first) => (first === "0" ? "1" : "0")), text.slice(0, -32), ""]) {
      writeFileSync(file, bad);
      const { code, stdout } = await node.run();
      assert.ok(code === 5 || (bad === "" && code === 1), `${code}`);
      assert.equal(stdout, "");
    }
  });
});
