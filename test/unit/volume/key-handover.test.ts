import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { closeSync, constants, existsSync, lstatSync, openSync, readFileSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { serveByFifo } from "../../../src/volume/fifo.ts";
import { handOverKey, type KeyHandover } from "../../../src/volume/key-handover.ts";
import type { VolumeKey } from "../../../src/volume/volume.ts";

const secret = "the key of a volume";
const tmpfsMagic = 0x01021994;

function key(channel: VolumeKey["channel"], variable?: string): VolumeKey {
  const value = SecretBuffer.copyOf(Buffer.from(secret));
  return { value, channel, ...(variable === undefined ? {} : { variable }) };
}

/** What a shell script prints that gets the path as `$1`. */
async function shell(script: string, path: string): Promise<string> {
  const child = spawn("/bin/sh", ["-c", script, "sh", path], { stdio: ["ignore", "pipe", "ignore"] });
  let printed = "";
  child.stdout.on("data", (chunk) => (printed += String(chunk)));
  await new Promise((resolve) => child.once("close", resolve));
  return printed;
}

function environmentOf(handover: KeyHandover, fdInChild?: number): Record<string, string> {
  const environment: Record<string, string> = {};
  handover.addTo(environment, fdInChild);
  return environment;
}

describe("a key handed over as a descriptor", () => {
  it("is named by the number it has in the child, and by nothing when it has no variable", async () => {
    const handover = await handOverKey(key("fd", "KEY_FILE"));
    assert.deepEqual(environmentOf(handover, 5), { KEY_FILE: "/dev/fd/5" });
    assert.deepEqual(environmentOf(handover), {});
    assert.equal(handover.path, undefined);
    handover.wipe();
    const unnamed = await handOverKey(key("fd"));
    assert.deepEqual(environmentOf(unnamed, 5), {});
    unnamed.wipe();
  });

  it("cannot be written by the program, has no name, and is empty for who opened it before it was wiped", async () => {
    const handover = await handOverKey(key("fd"));
    const path = `/proc/self/fd/${handover.fd}`;
    assert.equal(lstatSync(path).mode & 0o200, 0);
    assert.equal(statfsSync(path).type, tmpfsMagic);
    const opened = openSync(path, "r");
    handover.wipe();
    handover.wipe();
    assert.equal(readFileSync(opened).length, 0);
    closeSync(opened);
  });
});

describe("a key handed over as a file", () => {
  it("lies on tmpfs, readable by its owner only, and goes with its folder", async () => {
    const handover = await handOverKey(key("file", "KEY_FILE"));
    const path = handover.path ?? "";
    assert.equal(readFileSync(path, "utf8"), secret);
    assert.equal(lstatSync(path).mode & 0o777, 0o600);
    assert.equal(statfsSync(path).type, tmpfsMagic);
    assert.deepEqual(environmentOf(handover), { KEY_FILE: path });
    const opened = openSync(path, "r");
    handover.wipe();
    handover.wipe();
    assert.equal(readFileSync(opened).length, 0);
    closeSync(opened);
    assert.ok(!existsSync(dirname(path)));
  });
});

describe("a key handed over by a FIFO", () => {
  it("is given whole to each of several readers in quick succession, and to no more", async () => {
    const handover = await handOverKey(key("fifo", "KEY_FILE"), 5);
    const path = handover.path ?? "";
    assert.deepEqual(environmentOf(handover), { KEY_FILE: path });
    const script = 'for i in 1 2 3 4 5; do cat "$1"; echo; done; test -e "$1" || echo gone';
    assert.equal(await shell(script, path), `${`${secret}\n`.repeat(5)}gone\n`);
    await handover.read;
    handover.wipe();
    assert.ok(!existsSync(dirname(path)));
  });

  it("is given although the key it came from was wiped meanwhile", async () => {
    const given = key("fifo");
    const handover = await handOverKey(given);
    given.value[Symbol.dispose]();
    assert.equal(await shell('cat "$1"', handover.path ?? ""), secret);
    handover.wipe();
  });

  it("is given whole when it is larger than a pipe holds", async () => {
    using large = SecretBuffer.copyOf(Buffer.alloc(300_000, "k"));
    const fifo = await serveByFifo(large, 2);
    const script = 'for i in 1 2; do { sleep 0.05; cat; } < "$1" | wc -c; done';
    assert.equal(await shell(script, fifo.path), "300000\n300000\n");
    await fifo.read;
    fifo.stop();
  });

  it("still serves the next read after a reader that left before the end", async () => {
    using large = SecretBuffer.copyOf(Buffer.alloc(300_000, "k"));
    const fifo = await serveByFifo(large, 2);
    assert.equal(await shell('head -c 10 "$1"; echo; cat "$1" | wc -c', fifo.path), "kkkkkkkkkk\n300000\n");
    await fifo.read;
    fifo.stop();
  });

  it("gives nothing more once it is wiped, and lets a reader that waits go on", async () => {
    const handover = await handOverKey(key("fifo"), 3);
    const reader = openSync(handover.path ?? "", constants.O_RDONLY | constants.O_NONBLOCK);
    handover.wipe();
    handover.wipe();
    await handover.read;
    assert.ok(!existsSync(dirname(handover.path ?? "")));
    closeSync(reader);
  });
});

describe("a key handed over in an environment variable", () => {
  it("is the variable's value, and nothing when there is no variable", async () => {
    const handover = await handOverKey(key("environment", "KEY"));
    assert.deepEqual(environmentOf(handover), { KEY: secret });
    assert.deepEqual([handover.fd, handover.path], [undefined, undefined]);
    handover.wipe();
    assert.deepEqual(environmentOf(await handOverKey(key("environment"))), {});
  });
});
