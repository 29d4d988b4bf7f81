import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { cardFingerprint } from "../../../../src/devices/catalogue/card-fingerprint.ts";
import { DeviceError, type DeviceFaultKind } from "../../../../src/devices/errors.ts";
import { deviceErrorOf } from "../../../../src/devices/native/fault.ts";
import type { NativeCalls } from "../../../../src/devices/native/native-calls.ts";
import { sdfOperations } from "../../../../src/devices/sdf/wire.ts";

/** Calls of a card that is none: what it holds are words, and a missing one is `not-found`. */
class FakeCalls implements NativeCalls {
  readonly info = {};
  readonly keys: Readonly<Record<string, string>>;
  wrapped = 0;
  failsWith: DeviceFaultKind | undefined;
  /** Of cards that check what they unwrap. */
  checks = false;

  constructor(keys: Readonly<Record<string, string>>) {
    this.keys = keys;
  }

  health() {
    return { state: "ready", detail: "", sessions: 1, queue: 0, abandoned: 0, restarts: 0 } as const;
  }

  async call(operation: string, args: readonly Buffer[]): Promise<readonly Buffer[]> {
    if (this.failsWith !== undefined) throw failure(this.failsWith);
    const index = args[0]?.readUInt32BE();
    const held = (what: string) => {
      const key = this.keys[`${what} ${index}`];
      if (key === undefined) throw failure("not-found");
      return key;
    };
    if (operation === sdfOperations.signPublicKey) return [Buffer.from(held("sign"))];
    if (operation === sdfOperations.encryptPublicKey) return [Buffer.from(held("encrypt"))];
    if (operation === sdfOperations.newWrappedKey) {
      this.wrapped += 1;
      return [Buffer.from(`${this.wrapped} under ${held("kek")}`)];
    }
    assert.equal(operation, sdfOperations.prf);
    if (this.checks && !String(args[1]).endsWith(held("kek"))) throw failure("bad-input");
    const output = createHash("sha256").update(held("kek"));
    for (const each of args.slice(1)) output.update(each);
    return [output.digest()];
  }

  async lock() {}
  async [Symbol.asyncDispose]() {}
}

function failure(kind: DeviceFaultKind): DeviceError {
  return deviceErrorOf({ kind, code: "X", message: "no", evict: false, retryable: false });
}

const entry = { key_indices: [1], kek_indices: [7] };
const keys = { "sign 1": "s", "encrypt 1": "e", "kek 7": "k" };

describe("the fingerprint of cards in a set", () => {
  it("is the same for cards with the same keys, also when one is asked again", async () => {
    const of = cardFingerprint(entry);
    const [one, other] = [new FakeCalls(keys), new FakeCalls(keys)];
    const fingerprint = await of(one);
    assert.deepEqual(await of(other), fingerprint);
    assert.deepEqual(await of(one), fingerprint);
    assert.deepEqual([one.wrapped, other.wrapped], [1, 0], "more than one probe was made");
  });

  for (const name of Object.keys(keys))
    it(`is another for a card with another key at ${name}, and for one with none`, async () => {
      const { [name as "sign 1"]: _, ...fewer } = keys;
      for (const others of [{ ...keys, [name]: "another" }, fewer]) {
        const of = cardFingerprint(entry);
        assert.notDeepEqual(await of(new FakeCalls(keys)), await of(new FakeCalls(others)));
        const inOtherOrder = cardFingerprint(entry);
        assert.notDeepEqual(await inOtherOrder(new FakeCalls(others)), await inOtherOrder(new FakeCalls(keys)));
      }
    });

  it("is another for a card that refuses the probe instead of unwrapping it wrongly", async () => {
    const of = cardFingerprint(entry);
    const checking = new FakeCalls({ ...keys, "kek 7": "another" });
    checking.checks = true;
    assert.notDeepEqual(await of(new FakeCalls(keys)), await of(checking));
  });

  it("is the same for cards that both have no encryption key pair at an index", async () => {
    const of = cardFingerprint({ key_indices: [1], kek_indices: [] });
    assert.deepEqual(await of(new FakeCalls({ "sign 1": "s" })), await of(new FakeCalls({ "sign 1": "s" })));
  });

  for (const kind of ["comm", "device", "busy", "timeout", "auth"] as const)
    it(`is not told by a card that fails with ${kind}`, async () => {
      const card = new FakeCalls(keys);
      card.failsWith = kind;
      await assert.rejects(cardFingerprint(entry)(card), DeviceError);
    });
});
