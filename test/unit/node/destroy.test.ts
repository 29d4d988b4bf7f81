import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createKeys } from "../../../src/node/create.ts";
import { destroyNode } from "../../../src/node/destroy.ts";
import { DestructionJournal } from "../../../src/node/destruction-journal.ts";
import { NodeError } from "../../../src/node/errors.ts";
import { IntegrationFolder } from "../../../src/node/kms/integration-folder.ts";
import { lockNode } from "../../../src/node/launch-lock.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { scaled, seed } from "../../run-settings.ts";
import { FakeFailure, FakeKeyManager, NodeFolder } from "./fake-key-manager.ts";

/** A fake key manager that keeps destructions, as the native door does: a node that told of its end is refused afterwards. */
class RecordingKeyManager extends FakeKeyManager {
  readonly told: { name: string; keys: readonly { name: string; publicIdentity: string }[] }[] = [];
  readonly nodes = {
    destroyed: async (input: RecordingKeyManager["told"][number]) => {
      if (this.mood === "unreachable") throw new FakeFailure("UNREACHABLE", 4);
      if (this.mood === "refuse" || this.told.length > 0) throw new FakeFailure("REFUSED", 3);
      this.told.push(input);
    },
  };
}

async function created(
  folder: NodeFolder,
  keyManager: FakeKeyManager,
  more: Parameters<NodeFolder["manifest"]>[1] = {},
) {
  mkdirSync(folder.at("node"), { mode: 0o700 });
  const manifest = folder.manifest("goquorum", more);
  writeFileSync(folder.at("node/node.toml"), readFileSync(manifest.file));
  const { loadManifest } = await import("../../../src/node/manifest-reader.ts");
  const { loaded, dataKey } = await makeDataKey(loadManifest(folder.at("node")), keyManager);
  const keys = await createKeys(loaded, dataKey, { lightKdf: true });
  dataKey[Symbol.dispose]();
  mkdirSync(folder.at("node/identity"), { mode: 0o700 });
  for (const name of ["key.pem", "certificate.pem", "ca.pem"]) writeFileSync(folder.at(`node/identity/${name}`), name);
  return keys.loaded;
}

describe("destroying a node", () => {
  it("tells the key manager first, and leaves nothing", async () => {
    using folder = new NodeFolder();
    const keyManager = new RecordingKeyManager();
    const loaded = await created(folder, keyManager);
    const steps: string[] = [];
    await destroyNode(folder.at("node"), { keyManager, onStep: (step) => steps.push(step) });
    assert.deepEqual(steps.slice(0, 3), ["begun", "recorded", loaded.at("data-key.box")]);
    assert.equal(existsSync(folder.at("node")), false);
    const [told] = keyManager.told;
    assert.deepEqual(
      told?.keys.map(({ name, publicIdentity }) => `${name} ${publicIdentity}`),
      loaded.manifest.sealedFiles.map(({ name, publicIdentity }) => `${name} ${publicIdentity}`),
    );
  });

  it("is finished by the same call, wherever it was ended, with one record", async () => {
    for (let stop = 0; ; stop++) {
      using folder = new NodeFolder();
      const keyManager = new RecordingKeyManager();
      await created(folder, keyManager);
      let reached = 0;
      const onStep = () => {
        if (reached++ === stop) throw new Error("ended");
      };
      const first = await destroyNode(folder.at("node"), { keyManager, onStep }).catch((error: unknown) => error);
      if (!(first instanceof Error)) break;
      assert.equal(first.message, "ended");
      if (existsSync(folder.at("node"))) await destroyNode(folder.at("node"), { keyManager });
      assert.equal(existsSync(folder.at("node")), false, `step ${stop}`);
      assert.equal(keyManager.told.length, 1, `step ${stop}`);
    }
  });

  it("puts a trace with the public identities on a KMS's record, which knows no destruction", async () => {
    using folder = new NodeFolder();
    const contexts: Readonly<Record<string, string>>[] = [];
    class Kms extends FakeKeyManager {
      override generateDataKey(input: Parameters<FakeKeyManager["generateDataKey"]>[0]) {
        contexts.push(input.context);
        return super.generateDataKey(input);
      }
    }
    const keyManager = new Kms();
    const loaded = await created(folder, keyManager);
    await destroyNode(folder.at("node"), { keyManager });
    const nodekey = loaded.manifest.sealedFiles.find(({ name }) => name === "nodekey");
    assert.equal(contexts.at(-1)?.purpose, "node-destroyed");
    assert.equal(contexts.at(-1)?.["key nodekey"], nodekey?.publicIdentity);
    assert.equal(existsSync(folder.at("node")), false);
  });

  const underKms = (folder: NodeFolder) => ({ kms: { integration: "kms-1", store: folder.at("integrations") } });
  const noted = (folder: NodeFolder) => {
    mkdirSync(folder.at("integrations"), { mode: 0o700, recursive: true });
    const store = new IntegrationFolder(folder.at("integrations"));
    for (const other of ["before", "node", "node-2"]) store.noteNode("kms-1", folder.at(`${other}/node.toml`));
    return store;
  };

  it("takes the node off its integration's users, and no other, wherever it was ended and by whatever path", async () => {
    for (let stop = 0; ; stop++) {
      using folder = new NodeFolder();
      const keyManager = new FakeKeyManager();
      await created(folder, keyManager, underKms(folder));
      const store = noted(folder);
      symlinkSync(folder.at("node"), folder.at("link"));
      let reached = 0;
      const onStep = () => {
        if (reached++ === stop) throw new Error("ended");
      };
      const first = await destroyNode(folder.at("link"), { keyManager, onStep }).catch((error: unknown) => error);
      if (existsSync(folder.at("node"))) await destroyNode(folder.at("node"), { keyManager });
      assert.equal(existsSync(folder.at("node")), false, `step ${stop}`);
      assert.deepEqual(store.nodesOf("kms-1"), [folder.at("before/node.toml"), folder.at("node-2/node.toml")]);
      if (!(first instanceof Error)) break;
    }
  });

  it("leaves no file of notes behind with the last node, and makes none where there was none", () => {
    using folder = new NodeFolder();
    const store = noted(folder);
    for (const other of ["node", "node", "absent", "before", "node-2"])
      store.forgetNode("kms-1", folder.at(`${other}/node.toml`));
    store.forgetNode("kms-2", folder.at("node/node.toml"));
    assert.deepEqual(readdirSync(folder.at("integrations")), []);
    assert.throws(() => store.forgetNode("../kms-1", folder.at("node/node.toml")), { code: "INPUT_INVALID" });
  });

  it("destroys a node whose store of integrations is gone or open to others, and says so of the latter", async () => {
    for (const state of ["gone", "open"] as const) {
      using folder = new NodeFolder();
      const keyManager = new FakeKeyManager();
      await created(folder, keyManager, underKms(folder));
      if (state === "open") {
        noted(folder);
        chmodSync(folder.at("integrations"), 0o755);
      }
      const told: string[] = [];
      await destroyNode(folder.at("node"), { keyManager, tell: (message) => told.push(message) });
      assert.equal(existsSync(folder.at("node")), false);
      assert.equal(
        told.some((message) => /still notes the node as a user of integration kms-1/.test(message)),
        state === "open",
      );
    }
  });

  it("changes nothing while the key manager is out of reach", async () => {
    using folder = new NodeFolder();
    const keyManager = new RecordingKeyManager();
    await created(folder, keyManager);
    keyManager.mood = "unreachable";
    const before = readdirSync(folder.at("node"), { recursive: true }).sort();
    await assert.rejects(destroyNode(folder.at("node"), { keyManager }), {
      code: "UNREACHABLE",
      hint: /--without-record/,
    });
    assert.deepEqual(readdirSync(folder.at("node"), { recursive: true }).sort(), before);
  });

  it("is refused while the node is launched, and while a process has a file of it open", async () => {
    using folder = new NodeFolder();
    const keyManager = new RecordingKeyManager();
    const loaded = await created(folder, keyManager);
    {
      using _launch = await lockNode(loaded);
      await assert.rejects(destroyNode(folder.at("node"), { keyManager }), { code: "NODE_RUNNING" });
    }
    const child = spawn("sleep", ["60"], { cwd: folder.at("node"), stdio: "ignore" });
    try {
      await new Promise((resolve) => child.once("spawn", resolve));
      await assert.rejects(destroyNode(folder.at("node"), { keyManager }), { code: "NODE_RUNNING" });
    } finally {
      child.kill("SIGKILL");
      await new Promise((resolve) => child.once("close", resolve));
    }
    assert.equal(keyManager.told.length, 0);
    assert.ok(existsSync(loaded.at("sealed/nodekey.sealed")));
  });

  it("leaves what is not Strongroom's, and the bytes of a file that has another name", async () => {
    using folder = new NodeFolder();
    const keyManager = new RecordingKeyManager();
    await created(folder, keyManager);
    folder.write("node/genesis.json", "{}");
    linkSync(folder.at("node/tm.pub"), folder.at("copy.pub"));
    const content = readFileSync(folder.at("copy.pub"), "utf8");
    const told: string[] = [];
    await destroyNode(folder.at("node"), { keyManager, tell: (message) => told.push(message) });
    assert.deepEqual(readdirSync(folder.at("node")), ["genesis.json"]);
    assert.equal(readFileSync(folder.at("copy.pub"), "utf8"), content);
    assert.match(told.join("\n"), /not overwritten/);
  });

  it("reads only a journal of its own, whatever lies there", () => {
    using folder = new NodeFolder();
    const journal = new DestructionJournal(folder.path);
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        writeFileSync(journal.file, text);
        assert.throws(
          () => journal.read(),
          (error) => error instanceof NodeError && error.code === "FILE_UNUSABLE",
        );
      }),
      { seed, numRuns: scaled(500) },
    );
  });
});
