import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { buildSdfCard, makeTestCard, sdfCardMissing } from "../../sdf-card/build.ts";
import { SdfCaller, sdr } from "../../sdf-card/caller.ts";

const pin = "12345678";

function exported(library: string): string[] {
  const nm = spawnSync("nm", ["-D", "--defined-only", library], { encoding: "utf8" });
  assert.equal(nm.status, 0, nm.stderr);
  return nm.stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ").at(-1) ?? "");
}

describe("what the test card may leave out", { skip: sdfCardMissing() }, () => {
  it("exports SDF_ names and nothing else, and in the minimal build neither files nor agreement nor extras", () => {
    const all = exported(buildSdfCard().library);
    assert.equal(all.length, 39);
    assert.deepEqual(
      all.filter((name) => !name.startsWith("SDF_")),
      [],
    );
    const minimal = exported(buildSdfCard("minimal").library);
    const missing = all.filter((name) => !minimal.includes(name));
    assert.ok(missing.every((name) => /File$|WithECC$|^SDF_(ExternalSign_ECC|ImportKey|GetSymmKeyHandle)$/.test(name)));
    assert.equal(missing.length, 10);
  });

  it("agrees on one key between two cards, and on another when an id differs", () => {
    using first = makeTestCard(pin);
    using second = makeTestCard(pin);
    const [alice, bob] = [first, second].map((card) => {
      card.admin("generate", "1");
      const sdf = new SdfCaller(card.library);
      const session = sdf.openSession();
      assert.equal(sdf.takeRight(session, 1, pin), sdr.ok);
      return { sdf, session };
    });
    assert.ok(alice && bob);
    const name = (text: string): readonly [Buffer, number] => [Buffer.from(text), text.length];
    const agree = (bobsNameToAlice: string): boolean => {
      const [a, aTmp, b, bTmp] = [0, 1, 2, 3].map(() => Buffer.alloc(132)) as [Buffer, Buffer, Buffer, Buffer];
      const [agreement, aliceKey, bobKey] = [Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(8)];
      const from = name("alice");
      const code1 = alice.sdf.call(
        "SDF_GenerateAgreementDataWithECC",
        alice.session,
        1,
        128,
        ...from,
        a,
        aTmp,
        agreement,
      );
      assert.equal(code1, sdr.ok);
      const ids = [...name("bob"), ...from] as const;
      const keys = [a, aTmp, b, bTmp, bobKey] as const;
      assert.equal(
        bob.sdf.call("SDF_GenerateAgreementDataAndKeyWithECC", bob.session, 1, 128, ...ids, ...keys),
        sdr.ok,
      );
      const last = [...name(bobsNameToAlice), b, bTmp, agreement.readBigUInt64LE(), aliceKey] as const;
      assert.equal(alice.sdf.call("SDF_GenerateKeyWithECC", alice.session, ...last), sdr.ok);
      return block(alice.sdf, alice.session, aliceKey).equals(block(bob.sdf, bob.session, bobKey));
    };
    assert.ok(agree("bob"));
    assert.ok(!agree("mallory"));
    const out = [Buffer.alloc(132), Buffer.alloc(132), Buffer.alloc(8)] as const;
    const without = alice.sdf.openSession();
    const start = (index: number, bits: number): number =>
      alice.sdf.call("SDF_GenerateAgreementDataWithECC", without, index, bits, ...name("alice"), ...out);
    assert.equal(start(1, 128), sdr.noRight);
    assert.equal(start(2, 128), sdr.keyNotExist);
    assert.equal(start(1, 100), sdr.inArgument);
  });

  it("keeps files of a fixed size, and tells a file's every misuse apart", () => {
    using card = makeTestCard(pin);
    const sdf = new SdfCaller(card.library);
    const session = sdf.openSession();
    const file = Buffer.from("chain/../é");
    const content = randomBytes(10);
    const [out, length] = [Buffer.alloc(20), Buffer.of(20, 0, 0, 0)];
    const at = [session, file, file.length] as const;
    assert.equal(sdf.call("SDF_ReadFile", ...at, 0, length, out), sdr.fileNotExist);
    assert.equal(sdf.call("SDF_CreateFile", ...at, 0), sdr.fileSize);
    assert.equal(sdf.call("SDF_CreateFile", ...at, 16), sdr.ok);
    assert.equal(sdf.call("SDF_CreateFile", ...at, 16), sdr.fileExists);
    assert.equal(sdf.call("SDF_WriteFile", ...at, 6, 10, content), sdr.ok);
    assert.equal(sdf.call("SDF_WriteFile", ...at, 7, 10, content), sdr.fileSize);
    assert.equal(sdf.call("SDF_WriteFile", ...at, 17, 1, content), sdr.fileOffset);
    assert.equal(new SdfCaller(card.library).call("SDF_ReadFile", ...at, 4, length, out), sdr.ok);
    assert.equal(length.readUInt32LE(), 12);
    assert.deepEqual(out.subarray(0, 12), Buffer.concat([Buffer.alloc(2), content]));
    assert.equal(sdf.call("SDF_DeleteFile", ...at), sdr.ok);
    assert.equal(sdf.call("SDF_DeleteFile", ...at), sdr.fileNotExist);
    assert.equal(sdf.call("SDF_CreateFile", session, Buffer.alloc(129), 129, 16), sdr.inArgument);
  });
});

function block(sdf: SdfCaller, session: bigint, handle: Buffer): Buffer {
  const [out, length] = [Buffer.alloc(16), Buffer.alloc(4)];
  const key = handle.readBigUInt64LE();
  assert.equal(sdf.call("SDF_Encrypt", session, key, 0x401, null, Buffer.alloc(16), 16, out, length), sdr.ok);
  return out;
}
