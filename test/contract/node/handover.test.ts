import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { Handover, sealedFileKey } from "../../../src/node/handover.ts";
import type { SealedFileEntry } from "../../../src/node/manifest.ts";
import { NodeFolder } from "../../unit/node/fake-key-manager.ts";

const secret = "a key that must reach the program and nobody else\n";

function entry(handover: SealedFileEntry["handover"], reads = 1): SealedFileEntry {
  const where = { name: "k", path: "k", sealed: "k.sealed", format: "opaque", publicIdentity: "none" };
  return { ...where, handover, version: 1, reads, link: false };
}

async function ready(
  handover: SealedFileEntry["handover"],
  { reads = 1, linkPath }: { reads?: number; linkPath?: string } = {},
) {
  const key = sealedFileKey(entry(handover, reads), SecretBuffer.copyOf(Buffer.from(secret)));
  return await Handover.ready([{ name: "k", key, reads, ...(linkPath === undefined ? {} : { linkPath }) }]);
}

/** A program that runs a shell script with the key's path as `$1`. */
function program(handover: Handover, script: string): { child: ChildProcess; output: Promise<string> } {
  const args = ["-c", script, "sh", handover.path("k") ?? ""];
  const child = spawn("/bin/sh", args, { stdio: ["ignore", "pipe", "ignore", ...handover.descriptors] });
  let output = "";
  child.stdout?.on("data", (chunk) => (output += String(chunk)));
  return { child, output: new Promise((resolve) => child.once("close", () => resolve(output))) };
}

for (const kind of ["fd", "fifo", "tmpfs-file"] as const)
  describe(`handing a key over as ${kind}`, () => {
    it("gives the program every byte under a path that it opens", async () => {
      const handover = await ready(kind);
      try {
        assert.equal(await program(handover, 'cat "$1"').output, secret);
      } finally {
        handover.wipe();
      }
    });

    it("gives it as often as was agreed", async () => {
      const handover = await ready(kind, { reads: 3 });
      try {
        assert.equal(await program(handover, 'cat "$1"; cat "$1"; cat "$1"').output, secret.repeat(3));
      } finally {
        handover.wipe();
      }
    });

    it("leaves nothing to read once it is wiped, not even through a descriptor that is still open", async () => {
      const handover = await ready(kind);
      const path = handover.path("k") ?? "";
      using folder = new NodeFolder();
      const wiped = folder.at("wiped");
      const { child, output } = program(
        handover,
        `read -r _ </dev/zero & until [ -e "${wiped}" ]; do sleep 0.1; done; cat "$1" 2>/dev/null; kill $!`,
      );
      await new Promise((resolve) => setTimeout(resolve, 100));
      handover.wipe();
      handover.wipe();
      folder.write("wiped", "");
      assert.equal(await output, "");
      assert.notEqual(child.exitCode, null);
      if (!path.startsWith("/dev/fd/")) assert.equal(existsSync(dirname(path)), false);
    });

    it("keeps the key on file systems in memory", async () => {
      const handover = await ready(kind);
      try {
        const path = handover.path("k") ?? "";
        if (path.startsWith("/dev/fd/")) {
          const [fd = -1] = handover.descriptors;
          assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"), /^mnt_id:/m);
          assert.equal(statfsSync(`/proc/self/fd/${fd}`).type, 0x01021994);
        } else assert.equal(statfsSync(dirname(path)).type, 0x01021994);
      } finally {
        handover.wipe();
      }
    });

    it("wipes by itself once the key was read, and at the latest when the time is over", async () => {
      const never = new AbortController().signal;
      const handover = await ready(kind);
      const watched = handover.wipeOnceRead(0, 60_000, never);
      assert.equal(await program(handover, 'cat "$1"').output, secret);
      await watched;
      const unread = await ready(kind);
      await unread.wipeOnceRead(60_000, 150, never);
      const path = unread.path("k") ?? "";
      if (!path.startsWith("/dev/fd/")) assert.equal(existsSync(path), false);
    });
  });

describe("a link to a key that is handed over", () => {
  for (const kind of ["fifo", "tmpfs-file"] as const)
    it(`stands at the program's own path while it runs (${kind})`, async () => {
      using folder = new NodeFolder();
      const handover = await ready(kind, { linkPath: folder.at("priv_sk") });
      const { output } = program(handover, `cat "${folder.at("priv_sk")}"`);
      assert.equal(await output, secret);
      handover.wipe();
      assert.equal(existsSync(folder.at("priv_sk")), false);
    });

  it("never takes the place of a file, and nothing stays behind when it cannot stand", async () => {
    using folder = new NodeFolder();
    folder.write("priv_sk", "precious");
    await assert.rejects(ready("tmpfs-file", { linkPath: folder.at("priv_sk") }), { code: "TARGET_EXISTS" });
    assert.equal(readFileSync(folder.at("priv_sk"), "utf8"), "precious");
  });
});
