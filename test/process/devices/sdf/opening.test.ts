import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DeviceError } from "../../../../src/devices/errors.ts";
import type { NativeDeviceEvent } from "../../../../src/devices/native/device-events.ts";
import { openSdfDevice, type SdfDeviceOptions } from "../../../../src/devices/sdf/device.ts";
import { makeTestCard, sdfCardMissing, sdfCardVariants } from "../../../sdf-card/build.ts";
import { cardPin, openCard, readyCard } from "./card.ts";

const skip = sdfCardMissing();

/** What opening fails with: the error's code, the fault's kind and code. */
async function failure(
  opening: Promise<AsyncDisposable>,
): Promise<{ code: string; kind?: string; fault?: string; message: string }> {
  try {
    await (await opening)[Symbol.asyncDispose]();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const { code, failure: known, message } = error;
    return known === undefined ? { code, message } : { code, kind: known.kind, fault: known.code, message };
  }
  throw new assert.AssertionError({ message: "the card opened" });
}

/** Tries again until it succeeds, or fails with what is waited for. */
async function until<T>(run: () => Promise<T>, failing?: RegExp): Promise<T> {
  for (let tries = 0; ; tries += 1)
    try {
      return await run();
    } catch (error) {
      if (tries >= 200 || failing?.test(String(error)) === true) throw error;
      await sleep(50);
    }
}

function withFolder(use: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), "sdf-opening-"));
    try {
      await use(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
}

const bare = (library: string, more: Partial<SdfDeviceOptions> = {}) =>
  openSdfDevice({ library, profile: "gmt0018", keyIndices: [], ...more });

describe("opening a GM/T 0018 library", { skip }, () => {
  it("says where it looked for one that is not there", async () => {
    const missing = await failure(bare("/nonexistent/libgmt0018.so"));
    assert.deepEqual([missing.kind, missing.fault], ["not-found", "LIBRARY_MISSING"]);
    assert.match(missing.message, /\/nonexistent\/libgmt0018\.so/);
  });

  it("says that the loader knows no library of a name without a path", async () => {
    const missing = await failure(bare("libgmt0018-of-nobody.so"));
    assert.deepEqual([missing.kind, missing.fault], ["not-found", "LIBRARY_MISSING"]);
  });

  it(
    "names the processor that a library was made for, without loading it",
    withFolder(async (folder) => {
      const foreign = process.arch === "arm64" ? 62 : 183;
      const elf = Buffer.alloc(64);
      elf.write("\x7fELF\x02\x01\x01", 0, "latin1");
      elf.writeUInt16LE(3, 16);
      elf.writeUInt16LE(foreign, 18);
      const path = join(folder, "libgmt0018.so");
      writeFileSync(path, elf);
      const wrong = await failure(bare(path));
      assert.deepEqual([wrong.kind, wrong.fault], ["unsupported", "LIBRARY_ARCHITECTURE"]);
      assert.match(wrong.message, foreign === 183 ? /arm64/ : /x64/);
      elf[4] = 1;
      elf.writeUInt16LE(3, 18);
      writeFileSync(path, elf);
      assert.match((await failure(bare(path))).message, /x86 \(32 bits\), 32 bits/);
    }),
  );

  it(
    "refuses files that are not libraries",
    withFolder(async (folder) => {
      const path = join(folder, "libgmt0018.so");
      for (const bytes of [Buffer.alloc(0), Buffer.from("GROUP ( libother.so )\n"), Buffer.from("\x7fELF", "latin1")]) {
        writeFileSync(path, bytes);
        assert.equal((await failure(bare(path))).kind, "unsupported");
      }
      assert.equal((await failure(bare(folder))).fault, "LIBRARY_INVALID");
      const program = await failure(bare(process.execPath));
      assert.equal(program.kind, "unsupported");
    }),
  );

  it(
    "names the call that a library lacks",
    withFolder(async (folder) => {
      const path = join(folder, "libother.so");
      const made = spawnSync("gcc", ["-shared", "-x", "c", "-o", path, "-"], {
        input: "int SDF_OpenDevice(void**d){return *d!=0;}",
      });
      assert.equal(made.status, 0);
      const lacking = await failure(bare(path));
      assert.deepEqual([lacking.kind, lacking.fault], ["unsupported", "SYMBOL_MISSING"]);
      assert.match(lacking.message, /has no SDF_CloseDevice/);
    }),
  );

  it("opens with what a library leaves out, and says what that is", async () => {
    using card = readyCard("minimal");
    await using device = await openCard(card);
    assert.equal(device.info["self-test key 1"], "sign proven; decrypt proven");
  });

  it("refuses a configuration that it does not know", async () => {
    using card = readyCard();
    for (const wrong of [
      { profile: "gmt0019" },
      { profile: "constructor" },
      { keyIndices: [0] },
      { keyIndices: [1, 1] },
      { keyIndices: [1.5] },
      { keyIndices: [65_536] },
      { kekIndices: [-1] },
      { library: "" },
      { library: `${card.library}\0x` },
    ])
      assert.equal((await failure(openCard(card, wrong))).fault, "CONFIG_INVALID", JSON.stringify(wrong));
  });
});

describe("the self-test of a GM/T 0018 library", { skip }, () => {
  const own = {
    gmt0018: "gmt0018",
    minimal: "gmt0018",
    fisco: "fisco",
    sansec: "sansec",
    "sansec-old": "sansec-old",
    openhitls: "openhitls",
  } as const;

  for (const variant of sdfCardVariants)
    it(`passes on ${variant} under its own profile`, async () => {
      using card = readyCard(variant);
      await using device = await openCard(card, { profile: own[variant] });
      assert.equal(device.info["self-test encrypt"], "proven");
      assert.equal(device.info.maker, "Strongroom TEST card");
    });

  for (const [variant, profile] of [
    ["gmt0018", "sansec-old"],
    ["fisco", "sansec-old"],
    ["sansec", "sansec-old"],
    ["openhitls", "sansec-old"],
    ["sansec-old", "gmt0018"],
    ["sansec-old", "fisco"],
    ["sansec-old", "sansec"],
    ["sansec-old", "openhitls"],
    ["openhitls", "gmt0018"],
    ["gmt0018", "openhitls"],
  ] as const)
    it(`finds out that ${variant} is not ${profile}`, async () => {
      using card = readyCard(variant);
      const found = await failure(openCard(card, { profile }));
      assert.deepEqual([found.kind, found.fault], ["unsupported", "PROFILE_MISMATCH"], found.message);
      assert.match(found.message, new RegExp(`does not fit layout profile ${profile}: .*choose the vendor's profile`));
    });

  it("finds out a card that signs wrong", async () => {
    using card = readyCard();
    card.setFaults("on=SDF_InternalSign_ECC", "corrupt-at=1");
    const found = await failure(openCard(card));
    assert.equal(found.fault, "PROFILE_MISMATCH");
    assert.match(found.message, /signature does not verify/);
  });

  it("does not ask for what the device is not configured with", async () => {
    using card = readyCard();
    await using device = await openCard(card, { keyIndices: [] });
    assert.equal(device.info["self-test key 1"], undefined);
    await assert.rejects(
      device.createSpecifiedKey({ keyId: "k", version: 1, suite: "sm", spec: "SM2", usage: "sign" }, { keyIndex: 1 }),
      { code: "DEVICE_KEY_NOT_FOUND", message: /key index 1 is not among the key indices/ },
    );
  });
});

describe("opening a GM/T 0018 card", { skip }, () => {
  it("tries a wrong PIN once, and not again", async () => {
    using card = readyCard();
    const refused = await failure(openCard(card, { keyIndices: [1, 2] }, "87654321"));
    assert.deepEqual([refused.code, refused.kind, refused.fault], ["DEVICE_PIN_REFUSED", "auth", "0x01000100"]);
    assert.match(refused.message, /key index 1: the card refuses the PIN/);
    // Four more are allowed before the card locks: had it been tried more often, this would be refused too.
    for (let wrong = 0; wrong < 3; wrong++) assert.equal((await failure(openCard(card, {}, "87654321"))).kind, "auth");
    await using device = await openCard(card, { keyIndices: [1, 2] });
    assert.equal((await device.health()).state, "ready");
  });

  it("says that a PIN is locked, also to the right one", async () => {
    using card = readyCard();
    for (let wrong = 0; wrong < 5; wrong++) await failure(openCard(card, {}, "87654321"));
    const locked = await failure(openCard(card));
    assert.deepEqual([locked.code, locked.kind, locked.fault], ["DEVICE_PIN_LOCKED", "locked-out", "0x01000101"]);
    assert.match(locked.message, /locked the PIN/);
  });

  it("never shows the PIN", async () => {
    using card = readyCard();
    const canary = "canary-9f3b7a";
    const refused = await failure(openCard(card, {}, canary));
    assert.ok(!JSON.stringify(refused).includes(canary));
  });

  it("names the index that has no key", async () => {
    using card = readyCard();
    for (const keyIndices of [[9], [1, 9]]) {
      const absent = await failure(openCard(card, { keyIndices }));
      assert.deepEqual([absent.code, absent.kind], ["DEVICE_KEY_NOT_FOUND", "not-found"]);
      assert.match(absent.message, /key index 9/);
    }
  });

  it("works without a PIN for what needs no right, and asks for it for what does", async () => {
    using card = readyCard();
    await using device = await openSdfDevice({ library: card.library, profile: "gmt0018", keyIndices: [1] });
    const name = { keyId: "k", version: 1, suite: "sm", spec: "SM2", usage: "sign" } as const;
    const { material } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    await assert.rejects(device.signDigest({ ...name, material }, "SM2DSA", Buffer.alloc(32, 1)), {
      code: "DEVICE_PIN_REFUSED",
      message: /give the device its PIN/,
    });
  });

  it("loads a library of the pinned hash only, at every start of its process", async () => {
    using card = readyCard();
    const right = readFileSync(card.library);
    const librarySha256 = createHash("sha256").update(right).digest("hex");
    const put = (content: Uint8Array) => {
      writeFileSync(`${card.library}.new`, content, { mode: 0o755 });
      renameSync(`${card.library}.new`, card.library);
    };
    let pid = 0;
    const tell = (event: NativeDeviceEvent) => {
      if (event.event === "process-started") pid = event.pid;
    };
    await using device = await openCard(card, { librarySha256, tell, pool: { acquireTimeoutMs: 300 } });
    const name = { keyId: randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "sign" } as const;
    const { material } = await device.createSpecifiedKey(name, { keyIndex: 1 });
    const sign = () => device.signDigest({ ...name, material }, "SM2DSA", Buffer.alloc(32, 7));
    put(Buffer.concat([right, Buffer.of(0)]));
    await sign();
    process.kill(pid, "SIGKILL");
    await assert.rejects(until(sign, /LIBRARY_CHANGED/), {
      code: "DEVICE_BUSY",
      message: /another SHA-256.*LIBRARY_CHANGED/,
    });
    const changed = await failure(openCard(card, { librarySha256 }));
    assert.deepEqual([changed.kind, changed.fault], ["integrity", "LIBRARY_CHANGED"]);
    await using unpinned = await openCard(card);
    assert.ok(unpinned.info.model);
    put(right);
    await until(sign);
  });

  it("wants a library's whole path, and a hash in hex, where it is pinned", async () => {
    const named = await failure(bare("libgmt0018.so", { librarySha256: "a".repeat(64) }));
    assert.deepEqual([named.kind, named.fault], ["bad-input", "CONFIG_INVALID"]);
    const odd = await failure(bare("/nonexistent/libgmt0018.so", { librarySha256: "A".repeat(64) }));
    assert.deepEqual([odd.kind, odd.fault], ["bad-input", "CONFIG_INVALID"]);
  });

  it("says that a card that is unplugged does not answer", async () => {
    using card = readyCard();
    card.setFaults("unplugged=1");
    const gone = await failure(openCard(card));
    assert.deepEqual([gone.code, gone.kind, gone.fault], ["DEVICE_UNREACHABLE", "comm", "0x01010201"]);
  });

  it("says that a folder without a card is none", async () => {
    using card = makeTestCard(cardPin);
    rmSync(card.dir, { recursive: true });
    assert.equal((await failure(openCard(card, { keyIndices: [] }))).fault, "0x01000005");
  });
});
