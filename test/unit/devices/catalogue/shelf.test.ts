import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { DeviceHolder } from "../../../../src/devices/catalogue/holder.ts";
import { readCatalogue } from "../../../../src/devices/catalogue/read.ts";
import { DeviceShelf } from "../../../../src/devices/catalogue/shelf.ts";
import { DeviceError } from "../../../../src/devices/errors.ts";
import { FakeCard } from "../fake-card.ts";

describe("a device that is opened at its first use", () => {
  let nowMs = 0;
  let opened = 0;
  let failure: Error | undefined;
  let card: FakeCard;
  let holder: DeviceHolder;
  beforeEach(() => {
    [nowMs, opened, failure, card] = [0, 0, undefined, new FakeCard()];
    const make = async () => {
      opened += 1;
      if (failure !== undefined) throw failure;
      return card;
    };
    holder = new DeviceHolder("card-1", make, () => nowMs);
  });

  it("is opened once for all who ask at once", async () => {
    assert.equal((await holder.health()).detail, "not opened yet");
    const all = await Promise.all([holder.open(), holder.open(), holder.open()]);
    assert.deepEqual(all, [card, card, card]);
    assert.equal(opened, 1);
    assert.equal((await holder.health()).state, "ready");
  });

  it("says at once that it is being opened, to whoever asks how it is meanwhile", async () => {
    const { promise, resolve } = Promise.withResolvers<FakeCard>();
    holder = new DeviceHolder("card-1", () => promise);
    const opening = holder.open();
    assert.deepEqual(await holder.health(), { state: "down", detail: "is being opened" });
    const settled = holder.settledHealth();
    resolve(card);
    assert.equal(await opening, card);
    assert.equal((await holder.health()).state, "ready");
    assert.equal((await settled).state, "ready");
  });

  it("is tried again after a failure, but not at once", async () => {
    failure = new DeviceError("DEVICE_UNREACHABLE");
    await assert.rejects(holder.open(), { code: "DEVICE_UNREACHABLE" });
    await assert.rejects(holder.open(), { code: "DEVICE_UNREACHABLE" });
    assert.equal(opened, 1);
    assert.equal((await holder.health()).state, "down");
    [nowMs, failure] = [6000, undefined];
    assert.equal(await holder.open(), card);
    assert.equal(opened, 2);
    assert.equal((await holder.health()).state, "ready");
  });

  for (const code of ["DEVICE_PIN_REFUSED", "DEVICE_PIN_LOCKED"] as const)
    it(`is never tried again after ${code}`, async () => {
      failure = new DeviceError(code);
      await assert.rejects(holder.open(), { code });
      [nowMs, failure] = [1e9, undefined];
      await assert.rejects(holder.open(), { code });
      assert.equal(opened, 1);
      assert.equal((await holder.health()).state, "locked");
    });

  it("is opened anew once it has been down for a minute, and not before", async () => {
    await holder.open();
    const lost = card;
    let state: "down" | "ready" = "down";
    lost.health = async () => ({ state, detail: "crashed too often" });
    const atMs = async (ms: number) => {
      nowMs = ms;
      return await holder.open();
    };
    for (const ms of [10_000, 40_000, 69_000]) assert.equal(await atMs(ms), lost);
    state = "ready";
    assert.equal(await atMs(75_000), lost);
    state = "down";
    for (const ms of [80_000, 139_000]) assert.equal(await atMs(ms), lost);
    card = new FakeCard();
    assert.equal(await atMs(145_000), card);
    assert.equal(await atMs(146_000), card);
    assert.equal(opened, 2);
    await assert.rejects(async () => lost.createKey({ keyId: "k", version: 1, suite: "sm" }), {
      code: "DEVICE_LOCKED",
    });
  });

  it("is closed with its holder, which opens nothing from then on", async () => {
    await holder.open();
    await holder.close();
    assert.equal((await card.health()).state, "locked");
    await assert.rejects(holder.open(), { code: "DEVICE_LOCKED" });
  });

  it("is closed too when it was just being opened", async () => {
    const opening = holder.open();
    await holder.close();
    await opening;
    assert.equal((await card.health()).state, "locked");
  });
});

describe("the devices of a devices.toml", () => {
  let folder: string;
  let file: string;
  let trusted: string | undefined;
  let cards: FakeCard[];
  let shelf: DeviceShelf;
  const write = (...names: string[]) => {
    const text = names.map((name) => `[[device]]\nname = "${name}"\nkind = "sdf"\nlibrary = "/lib/x.so"\n`);
    writeFileSync(file, text.join(""), { mode: 0o600 });
  };
  const trust = () => {
    trusted = readCatalogue(file).sha256;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "strongroom-shelf-"));
    file = join(folder, "devices.toml");
    [trusted, cards] = [undefined, []];
    const open = async () => {
      const card = new FakeCard();
      cards.push(card);
      return card;
    };
    shelf = new DeviceShelf(file, () => trusted, open);
  });
  afterEach(async () => {
    await shelf.close();
    rmSync(folder, { recursive: true });
  });

  it("are none without a file", async () => {
    assert.equal(shelf.inForce(), undefined);
    assert.deepEqual(await shelf.states(), []);
    await assert.rejects(shelf.device("card-1"), { code: "DEVICE_UNKNOWN" });
  });

  it("are opened only once the file is trusted", async () => {
    write("card-1");
    await assert.rejects(shelf.device("card-1"), { code: "CATALOGUE_UNTRUSTED" });
    assert.throws(() => shelf.kindOf("card-1"), { code: "CATALOGUE_UNTRUSTED" });
    await assert.rejects(shelf.states(), { code: "CATALOGUE_UNTRUSTED" });
    assert.equal(cards.length, 0);
    trust();
    assert.equal(await shelf.device("card-1"), cards[0]);
    assert.equal(shelf.kindOf("card-1"), "sdf");
  });

  it("stay what they were when the file is changed under them, until that is trusted", async () => {
    write("card-1");
    trust();
    const first = await shelf.device("card-1");
    write("card-1", "card-2");
    assert.equal(await shelf.device("card-1"), first);
    await assert.rejects(shelf.device("card-2"), { code: "DEVICE_UNKNOWN" });
    trust();
    await shelf.device("card-2");
    assert.notEqual(await shelf.device("card-1"), first);
    assert.equal((await first.health()).state, "locked");
  });

  it("are opened anew when the same list is trusted again, but for those that are well", async () => {
    write("card-1", "card-2");
    trust();
    const [well, locked] = [await shelf.device("card-1"), await shelf.device("card-2")];
    await locked.lock();
    await shelf.trustedAnew();
    assert.equal(await shelf.device("card-1"), well);
    assert.notEqual(await shelf.device("card-2"), locked);
    assert.equal(cards.length, 3);
  });

  it("stay in force when the list is gone by the time that it is trusted again, as far as they are open", async () => {
    write("card-1");
    trust();
    const first = await shelf.device("card-1");
    rmSync(file);
    await shelf.trustedAnew();
    await assert.rejects(shelf.device("card-1"), { code: "CATALOGUE_NOT_FOUND" });
    assert.equal((await first.health()).state, "ready");
  });

  it("are told with the members that stand behind a set, and by themselves when nobody names them", () => {
    const set = '[[device]]\nname = "both"\nmembers = ["card-1", "card-2"]\n';
    write("card-1", "card-2");
    writeFileSync(file, readFileSync(file, "utf8").replaceAll('.so"\n', '.so"\nkey_indices = [1]\n') + set, {
      mode: 0o600,
    });
    trust();
    assert.deepEqual(shelf.membersOf("both"), ["card-1", "card-2"]);
    assert.deepEqual(shelf.membersOf("card-1"), ["card-1"]);
    assert.deepEqual(shelf.membersOf("gone"), ["gone"]);
  });

  it("are refused after a start when the file was changed or taken away meanwhile", async () => {
    write("card-1");
    trust();
    write("card-1", "card-2");
    await assert.rejects(shelf.device("card-1"), { code: "CATALOGUE_UNTRUSTED" });
    rmSync(file);
    await assert.rejects(shelf.device("card-1"), { code: "CATALOGUE_NOT_FOUND" });
  });
});
