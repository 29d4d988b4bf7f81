import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { releaseDataKey } from "../../../src/node/data-key.ts";
import { generateBesuKey } from "../../../src/node/key-formats/besu-key.ts";
import { generateKeystoreAccount } from "../../../src/node/key-formats/keystore-lock.ts";
import { generateTesseraKeyPair } from "../../../src/node/key-formats/tessera-lock.ts";
import { loadManifest } from "../../../src/node/manifest-reader.ts";
import { sealFile } from "../../../src/node/seal.ts";
import { FakeKeyManager } from "../../unit/node/fake-key-manager.ts";
import { LaunchedNode, nodekey } from "./launched-node.ts";

const stub = (name: string) => join(import.meta.dirname, "stubs", `${name}.ts`);

function node(name: string, ...args: readonly string[]): string {
  return `argv = ${JSON.stringify([process.execPath, stub(name), ...args])}`;
}

function text(secret: SecretBuffer): string {
  return secret.expose((bytes) => bytes.toString("latin1"));
}

/** Writes and seals one more file of a node, in the test's own process. */
async function sealMore(
  launched: LaunchedNode,
  files: readonly { file: string; content: string; format?: string; handover?: "fd" | "keystore" | "tmpfs-file" }[],
) {
  const keyManager = new FakeKeyManager({ master: SecretBuffer.take(readFileSync(launched.outside("master"))) });
  for (const { file, content, format, handover = "fd" } of files) {
    const loaded = loadManifest(launched.folder.path);
    using dataKey = await releaseDataKey(loaded, keyManager);
    sealFile(loaded, dataKey, launched.folder.write(file, content), {
      handover,
      ...(format === undefined ? {} : { format }),
    });
  }
}

describe("a program that reads its key as a real one does", () => {
  it("reads it in Go's way, twice, from an unlinked inode", async () => {
    await using launched = await LaunchedNode.sealed(node("go-reader", "{key:nodekey}"));
    const { code, stdout, stderr } = await launched.run();
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${nodekey.trim()}\n${nodekey.trim()}\n`);
  });

  for (const end of ["", "\n", "\r\n"])
    it(`reads it in Java's way: one line, ending ${JSON.stringify(end)}`, async () => {
      await using launched = await LaunchedNode.sealed(node("java-reader", "{key:besu}"), { kind: "besu" });
      const key = text(generateBesuKey().file) + end;
      await sealMore(launched, [{ file: "besu.key", content: key }]);
      const { code, stdout, stderr } = await launched.run();
      assert.equal(code, 0, stderr);
      assert.equal(stdout, `${key.trim().slice(2)}\n`);
    });

  it("reads it from a FIFO", async () => {
    await using launched = await LaunchedNode.sealed(node("fifo-reader", "{key:nodekey}"), {
      options: { handover: "fifo" },
    });
    const { code, stdout, stderr } = await launched.run();
    assert.equal(code, 0, stderr);
    assert.equal(stdout, nodekey);
  });

  it("finds a Tessera key that nobody else may read (0600)", async () => {
    for (const handover of ["fd", "tmpfs-file"] as const) {
      const script = 'stat -L -c %a "$1"; cat "$1"';
      await using launched = await LaunchedNode.sealed(
        `argv = ${JSON.stringify(["/bin/sh", "-c", script, "sh", "{key:tm}"])}`,
        { kind: "tessera" },
      );
      const content = text((await generateTesseraKeyPair()).file);
      await sealMore(launched, [{ file: "tm.key", content, handover }]);
      assert.equal((await launched.run()).stdout, `600\n${content}`);
    }
  });
});

describe("a keystore that is handed over", () => {
  async function withAccounts(count: number, passwordFile: (passwords: readonly string[]) => string) {
    const made = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const password = `pass word ${index} `;
        const { address, fileName, file } = await generateKeystoreAccount(SecretBuffer.take(Buffer.from(password)), {
          cost: "light",
        });
        return { password, address, fileName, content: text(file) };
      }),
    );
    const unlock = made.map(({ address }) => address).join(",");
    const launched = await LaunchedNode.sealed(node("keystore-watcher", "{keystore}", "{key:password}", unlock), {
      kind: "goquorum",
    });
    await sealMore(launched, [
      ...made.map(({ fileName, content }) => ({ file: fileName, content, handover: "keystore" as const })),
      { file: "password", content: passwordFile(made.map(({ password }) => password)), format: "password-file" },
    ]);
    return { launched, made };
  }

  it("is a watched folder with a real file, which opens with the first line, again and again", async () => {
    const { launched, made } = await withAccounts(1, ([first]) => `${first}\r\nnot this\n`);
    await using _ = launched;
    const { code, stdout, stderr } = await launched.run();
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `unlocked ${made[0]?.address}\n`.repeat(2));
  });

  it("holds all accounts, whose passwords are on lines of their own", async () => {
    const { launched, made } = await withAccounts(2, (passwords) => `${passwords.join("\n")}\n`);
    await using _ = launched;
    const { code, stdout, stderr } = await launched.run();
    assert.equal(code, 0, stderr);
    assert.equal(
      stdout,
      made
        .map(({ address }) => `unlocked ${address}\n`)
        .join("")
        .repeat(2),
    );
  });

  it("is still there when the other keys are wiped, and gone with the program", async () => {
    const { launched } = await withAccounts(1, ([first]) => `${first}\n`);
    await using _ = launched;
    const file = launched.folder.at("node.toml");
    const script = 'echo "$1" >"$3"; cat "$2" >/dev/null; sleep 4; wc -c <"$2"; ls "$1" | wc -l';
    const argv = ["/bin/sh", "-c", script, "sh", "{keystore}", "{key:nodekey}", launched.outside("where")];
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace(
        /^argv = .*$/m,
        () => `argv = ${JSON.stringify(argv)}\nwipe_settle_seconds = 0`,
      ),
    );
    const { stdout, stderr } = await launched.run();
    assert.deepEqual(
      stdout.split("\n").map((line) => line.trim()),
      ["0", "1", ""],
      stderr,
    );
    assert.equal(
      statSync(readFileSync(launched.outside("where"), "utf8").trim(), { throwIfNoEntry: false }),
      undefined,
    );
  });

  it("never reaches the node's folder", async () => {
    const { launched, made } = await withAccounts(1, ([first]) => `${first}\n`);
    await using _ = launched;
    const before = launched.snapshot();
    await launched.run();
    assert.equal(launched.snapshot(), before);
    assert.equal(readdirSync(launched.folder.path).includes(made[0]?.fileName ?? "?"), false);
  });

  it("refuses a command that names a keystore where none is sealed", async () => {
    await using launched = await LaunchedNode.sealed(node("keystore-watcher", "{keystore}", "{key:nodekey}", "0x0"));
    const { code, stderr } = await launched.run();
    assert.equal(code, 1);
    assert.match(stderr, /no sealed file is handed over as keystore/);
  });
});

describe("who may launch a node, and how often", () => {
  it("refuses another user before any key is asked for", async () => {
    await using launched = await LaunchedNode.sealed(node("go-reader", "{key:nodekey}"));
    const file = launched.folder.at("node.toml");
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("[node]\n", `[node]\nuid = ${(process.getuid?.() ?? 0) + 1}\n`),
    );
    launched.mood("refuse");
    const { code, stderr } = await launched.run();
    assert.equal(code, 1);
    assert.match(stderr, /belongs to user/);
  });

  it("refuses a second launch of the same node while the first runs", async () => {
    const script = 'echo up >"$2"; exec sleep 30';
    await using launched = await LaunchedNode.sealed("");
    const file = launched.folder.at("node.toml");
    const argv = ["/bin/sh", "-c", script, "sh", "{key:nodekey}", launched.outside("up")];
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("\n[command]\n", () => `\n[command]\nargv = ${JSON.stringify(argv)}\n`),
    );
    const { child, ended } = launched.start();
    await launched.appears("up");
    const second = await launched.run();
    assert.equal(second.code, 1);
    assert.match(second.stderr, /launched already/);
    child.kill("SIGTERM");
    assert.equal((await ended).code, 143);
  });

  it("asks again after a refusal where the manifest says so, and starts once access is restored", async () => {
    await using launched = await LaunchedNode.sealed(node("go-reader", "{key:nodekey}"));
    const file = launched.folder.at("node.toml");
    const restart = '[restart]\npolicy = "on-failure"\nafter_refusal = true\nbackoff_seconds = 1';
    writeFileSync(
      file,
      readFileSync(file, "utf8").replace("[restart]", () => restart),
    );
    const before = launched.snapshot();
    launched.mood("refuse");
    const { child, ended } = launched.start();
    let told = "";
    child.stderr?.on("data", (chunk) => (told += String(chunk)));
    while ((told.match(/access refused/g) ?? []).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(launched.snapshot(), before);
    launched.mood("agree");
    const { code, stdout } = await ended;
    assert.equal(code, 0, told);
    assert.match(stdout, new RegExp(nodekey.trim()));
    const pauses = [...told.matchAll(/again in ([0-9.]+) s/g)].map(([, seconds]) => Number(seconds));
    assert.ok((pauses[0] ?? 9) >= 0.5 && (pauses[0] ?? 9) <= 1, told);
    assert.ok((pauses[1] ?? 9) >= 1 && (pauses[1] ?? 9) <= 2, told);
  });

  it('tells a refused caller "access refused" and no more, with exit code 3', async () => {
    await using launched = await LaunchedNode.sealed(node("go-reader", "{key:nodekey}"));
    launched.mood("refuse");
    const { code, stderr, stdout } = await launched.run();
    assert.equal(code, 3);
    assert.equal(stdout, "");
    assert.match(stderr, /error: access refused to the data key of node-1$/m);
    assert.doesNotMatch(stderr, /the fake key manager says/);
  });
});

describe("a sealed file that the command does not name", () => {
  const descriptors = "for fd in /proc/self/fd/*; do readlink $fd; done";
  const other = `${"0".repeat(62)}2b\n`;

  it("is not handed over: the program has the descriptors of its named keys and no more", async () => {
    for (const named of [["{key:nodekey}", "{key:other}"], ["{key:other}"], []]) {
      const script = `${descriptors}; test $# = 0 || cat "$@"`;
      await using launched = await LaunchedNode.sealed(
        `argv = ${JSON.stringify(["/bin/sh", "-c", script, "sh", ...named])}`,
      );
      await sealMore(launched, [{ file: "other", content: other }]);
      const { code, stdout, stderr } = await launched.run();
      assert.equal(code, 0, stderr);
      assert.equal(stdout.match(/\(deleted\)/g)?.length ?? 0, named.length, stdout);
      assert.equal(stdout.includes(nodekey), named.includes("{key:nodekey}"));
      assert.equal(stdout.includes(other), named.includes("{key:other}"));
    }
  });

  it("is handed over when a variable of the environment names it", async () => {
    const argv = ["/bin/sh", "-c", 'cat "$NODE_KEY"'];
    const command = `argv = ${JSON.stringify(argv)}\nenvironment = { NODE_KEY = "{key:nodekey}" }`;
    await using launched = await LaunchedNode.sealed(command);
    const { stdout, stderr } = await launched.run();
    assert.equal(stdout, nodekey, stderr);
  });

  it("has no file in memory, where the others of its kind have one each", async () => {
    const script = 'ls "$(dirname "$1")"; test ! -e "$2"';
    const argv = ["/bin/sh", "-c", script, "sh", "{key:named}", "{dir}/left-out"];
    await using launched = await LaunchedNode.sealed(`argv = ${JSON.stringify(argv)}`);
    await sealMore(
      launched,
      ["named", "left-out"].map((file) => ({ file, content: file, format: "opaque", handover: "keystore" as const })),
    );
    const { code, stdout, stderr } = await launched.run();
    assert.equal(code, 0, stderr);
    assert.equal(stdout, "named\n");
  });

  it("stops the start all the same when it was altered", async () => {
    await using launched = await LaunchedNode.sealed(node("go-reader", "{key:nodekey}"));
    await sealMore(launched, [{ file: "other", content: other }]);
    const file = launched.folder.at("sealed/other.sealed");
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const { code, stdout } = await launched.run();
    assert.notEqual(code, 0);
    assert.equal(stdout, "");
  });
});
