import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DeviceFault } from "../../../../src/devices/native/fault.ts";
import {
  asFault,
  calling,
  faultOfReturnCode,
  isStaleHandle,
  mayBeRefusal,
  returnCodeName,
  returnCodeOf,
} from "../../../../src/devices/pkcs11/return-codes.ts";

/** As pkcs11js throws: by its own class, with `code`; or bare, with all in the message. */
const named = (code: number) => Object.assign(new Error("CKR_ANY"), { code });
const bare = (code: number) => new Error(`CKR_ANY:${code}\n    at PKCS11.C_Sign (x.cpp:1)`);

describe("return values of PKCS#11", () => {
  it("are read from both of the forms that errors have", () => {
    assert.equal(returnCodeOf(named(0xa0)), 0xa0);
    assert.equal(returnCodeOf(bare(0xa0)), 0xa0);
  });

  it("are not read from other errors", () => {
    for (const error of [
      new Error("ENOENT"),
      Object.assign(new Error("x"), { code: "ENOENT" }),
      undefined,
      "CKR_OK:0",
      160,
    ])
      assert.equal(returnCodeOf(error), undefined);
  });

  it("are sorted by what is to be done", () => {
    for (const [code, kind, evict] of [
      [0xa0, "auth", false],
      [0xa4, "locked-out", false],
      [0xb3, "session", true],
      [0x101, "session", true],
      [0x90, "session", true],
      [0x32, "comm", true],
      [0xe0, "comm", true],
      [0x30, "device", true],
      [0x68, "unsupported", false],
      [0x70, "unsupported", false],
      [0x60, "not-found", false],
      [0x21, "bad-input", false],
      [0xb1, "busy", false],
    ] as const) {
      const fault = faultOfReturnCode(code, "signing");
      assert.deepEqual({ kind: fault.kind, evict: fault.evict }, { kind, evict }, fault.code);
    }
  });

  it("count as a failure of the device when nobody knows them, with their number as their name", () => {
    for (const code of [0x8000_0001, 0xffff_ffff, 0x7777])
      assert.equal(faultOfReturnCode(code, "signing").kind, "device");
    assert.equal(returnCodeName(0x8000_0001), "CKR_0x80000001");
    assert.equal(returnCodeName(0xa4), "CKR_PIN_LOCKED");
  });

  it("never let a PIN that was refused be tried again", () => {
    for (const code of [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102])
      assert.equal(faultOfReturnCode(code, "logging in").retryable, false);
  });

  it("tell stale handles and refused ciphertext from other failures", () => {
    assert.ok(isStaleHandle(named(0x82)) && isStaleHandle(bare(0x60)));
    assert.ok(!isStaleHandle(named(0x30)) && !isStaleHandle(new Error("x")));
    assert.ok(mayBeRefusal(named(0x40)) && mayBeRefusal(bare(0x05)));
    assert.ok(!mayBeRefusal(named(0xb3)) && !mayBeRefusal(named(0x32)) && !mayBeRefusal(new Error("x")));
  });

  it("become faults on their way out; faults stay as they are", async () => {
    const fault = new DeviceFault({ kind: "integrity", code: "KEY_CHANGED", message: "the key" });
    assert.equal(asFault(fault, "signing"), fault);
    await assert.rejects(
      calling("signing", () => {
        throw bare(0x32);
      }),
      { kind: "comm", code: "CKR_DEVICE_REMOVED" },
    );
    await assert.rejects(
      calling("signing", () => Promise.reject(new TypeError("an argument"))),
      {
        kind: "device",
        code: "PKCS11JS",
      },
    );
  });
});
