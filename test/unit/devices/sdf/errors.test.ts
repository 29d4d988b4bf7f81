import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  codeText,
  faultOfCode,
  faultOfKek,
  faultOfPrivateUse,
  faultOfRight,
  sdfCodes,
} from "../../../../src/devices/sdf/errors.ts";

const facts = ({ kind, code, evict }: { kind: string; code: string; evict: boolean }) => ({ kind, code, evict });

describe("a code of a GM/T 0018 library", () => {
  it("is written as the vendors' documents write it, whichever sign the library gave it", () => {
    assert.equal(codeText(0x0100000e), "0x0100000E");
    assert.equal(codeText(-1), "0xFFFFFFFF");
    assert.equal(codeText(0x81000003 | 0), "0x81000003");
  });

  it("ends the session when the card, its connection or the session is what failed", () => {
    for (const code of [0x01000003, 0x01000004, 0x01000006, 0x01000010, 0x01010100, 0x01010105, 0x01010201])
      assert.equal(faultOfCode("SDF_InternalSign_ECC", code).evict, true, codeText(code));
  });

  it("leaves the session when only the call was wrong", () => {
    for (const code of [0x01000002, 0x01000008, 0x01000009, 0x0100000d, 0x0100000e, 0x01000016, 0x0100001d])
      assert.equal(faultOfCode("SDF_InternalSign_ECC", code).evict, false, codeText(code));
  });

  it("that nobody knows counts as a failure of the device, and is shown", () => {
    const fault = faultOfCode("SDF_InternalSign_ECC", 0x0badc0de, "key index 3");
    assert.deepEqual(facts(fault), { kind: "device", code: "0x0BADC0DE", evict: true });
    assert.match(fault.message, /SDF_InternalSign_ECC of key index 3/);
  });

  it("is in the table of the standard from the first to the last", () => {
    for (let code = 0x01000001; code <= 0x0100001e; code++) assert.match(sdfCodes[code]?.name ?? "", /^SDR_/);
  });
});

describe("a right that was not given", () => {
  it("counts as a wrong PIN for every code that does not plainly say another thing", () => {
    for (const code of [0x01000001, 0x0badc0de, 0x01000100, 0x01000018, 0x01000007, 0x0100001d, 0x01000015, 0x01010002])
      assert.equal(faultOfRight(code, 1).kind, "auth", codeText(code));
  });

  it("counts as what it says for a card that is gone or a key that is not there", () => {
    assert.equal(faultOfRight(0x01000003, 1).kind, "comm");
    assert.equal(faultOfRight(0x01000008, 1).kind, "not-found");
    assert.equal(faultOfRight(0x01000002, 1).kind, "unsupported");
  });

  it("says that the PIN is locked when the card does", () => {
    assert.equal(faultOfRight(0x01000101, 7).kind, "locked-out");
    assert.match(faultOfRight(0x01000101, 7).message, /key index 7.*locked/);
  });

  it("is never to be tried again", () => {
    for (const code of [0x01000100, 0x01000101, 0x0100001d]) assert.equal(faultOfRight(code, 1).retryable, false);
  });
});

describe("a private key that may not be used", () => {
  it("is told from a wrong argument by whether the right was taken", () => {
    assert.equal(faultOfPrivateUse("SDF_InternalSign_ECC", 0x0100001d, 1, false).kind, "auth");
    assert.equal(faultOfPrivateUse("SDF_InternalSign_ECC", 0x0100001d, 1, true).kind, "bad-input");
  });

  it("asks for the PIN when none was given, and doubts the key when one was", () => {
    assert.match(faultOfPrivateUse("SDF_InternalSign_ECC", 0x01000018, 1, false).message, /give the device its PIN/);
    assert.match(faultOfPrivateUse("SDF_InternalSign_ECC", 0x01000007, 1, true).message, /gives this key no right/);
  });
});

describe("a KEK that may not be used", () => {
  it("says what to add to the device's configuration", () => {
    const fault = faultOfKek("SDF_ImportKeyWithKEK", 0x01000018, 3);
    assert.equal(fault.kind, "auth");
    assert.match(fault.message, /KEK index 3: .*list its index with the device's KEK indices/);
  });

  it("that is not there is not found", () => {
    assert.equal(faultOfKek("SDF_ImportKeyWithKEK", 0x01000008, 3).kind, "not-found");
  });
});
