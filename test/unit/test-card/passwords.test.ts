import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../sdf-card/build.ts";
import { SdfCaller, sdr } from "../../sdf-card/caller.ts";

const pin = "12345678";
const wrong = "87654321";

describe("the test card's passwords", { skip: sdfCardMissing() }, () => {
  let card: TestCard;
  let sdf: SdfCaller;
  let session: bigint;

  beforeEach(() => {
    card = makeTestCard(pin);
    card.admin("generate", "1");
    card.admin("generate", "2", "--pin", "second index");
    sdf = new SdfCaller(card.library);
    session = sdf.openSession();
  });
  afterEach(() => card[Symbol.dispose]());

  it("gives the right for the right password only", () => {
    assert.equal(sdf.takeRight(session, 1, wrong), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 1, `${pin}0`), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
  });

  it("has a password per index where one was set, and the card's elsewhere", () => {
    assert.equal(sdf.takeRight(session, 2, pin), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 2, "second index"), sdr.ok);
  });

  it("refuses a password under 8 bytes without counting it", () => {
    for (let i = 0; i < 6; i++) assert.equal(sdf.takeRight(session, 1, "1234567"), sdr.inArgument);
    assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
  });

  it("locks an index after five wrong passwords in a row, and that index only", () => {
    for (let i = 0; i < 5; i++) assert.equal(sdf.takeRight(session, 1, wrong), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 1, wrong), sdr.passwordLocked);
    assert.equal(sdf.takeRight(session, 1, pin), sdr.passwordLocked);
    assert.equal(sdf.takeRight(session, 2, "second index"), sdr.ok);
    assert.match(card.admin("show"), /key 1 may-sign locked[\s\S]*key 2 may-sign open/);
  });

  it("begins to count anew after a right password", () => {
    for (let i = 0; i < 4; i++) assert.equal(sdf.takeRight(session, 1, wrong), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
    for (let i = 0; i < 4; i++) assert.equal(sdf.takeRight(session, 1, wrong), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
  });

  it("counts across sessions, devices and libraries that share the card", () => {
    const { device } = sdf.openDevice();
    const sessions = [session, sdf.openSession(device), sdf.openSession()];
    for (let i = 0; i < 5; i++) assert.equal(sdf.takeRight(sessions[i % 3] ?? 0n, 1, wrong), sdr.wrongPassword);
    using other = makeTestCard(pin, "minimal");
    writeFileSync(join(other.dir, "../sdf-card.dir"), card.dir);
    const second = new SdfCaller(other.library);
    assert.equal(second.takeRight(second.openSession(), 1, pin), sdr.passwordLocked);
  });

  it("unlocks by a new password, after which the old one is wrong", () => {
    for (let i = 0; i < 6; i++) sdf.takeRight(session, 1, wrong);
    card.admin("set-pin", "1", "--pin", "new password");
    assert.equal(sdf.takeRight(session, 1, pin), sdr.wrongPassword);
    assert.equal(sdf.takeRight(session, 1, "new password"), sdr.ok);
  });

  it("stays locked when the count can't be read", () => {
    writeFileSync(join(card.dir, "attempts-1"), "torn");
    assert.equal(sdf.takeRight(session, 1, pin), sdr.passwordLocked);
  });

  it("keeps no password in its memory", () => {
    for (const file of ["card", "key-1", "key-2"]) {
      const text = readFileSync(join(card.dir, file), "utf8");
      for (const secret of [pin, "second index"])
        assert.ok(!text.includes(secret) && !text.includes(Buffer.from(secret).toString("hex")), file);
    }
  });
});
