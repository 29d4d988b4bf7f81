import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, it } from "node:test";
import { readMaterial, type SdfMaterial, statementOf, writeMaterial } from "../../../../src/devices/sdf/material.ts";

const name = { keyId: randomUUID(), version: 1, suite: "sm" } as const;
const point = "ab".repeat(64);
const materials: readonly SdfMaterial[] = [
  {
    scheme: "sm2-envelope",
    keyIndex: 43,
    encryptKey: point,
    signKey: "cd".repeat(64),
    macKey: `04${"ef".repeat(128)}`,
    signature: "01".repeat(64),
  },
  { scheme: "sm4-kek", kekIndex: 65_535, wrapped: "00".repeat(16), check: "11".repeat(16) },
  { scheme: "sm2-key", keyIndex: 1, publicKey: point },
];
const schemes = ["sm2-envelope", "sm4-kek", "sm2-key"] as const;
const damaged = { code: "KEY_DAMAGED" };
const read = (material: Buffer) => readMaterial({ ...name, material }, schemes);

describe("the material of a card's key", () => {
  for (const material of materials) {
    it(`of scheme ${material.scheme} comes back`, () => {
      assert.deepEqual(read(writeMaterial(material)), material);
    });

    it(`of scheme ${material.scheme} is refused without any one member, or with one more`, () => {
      for (const member of Object.keys(material)) {
        const { [member as keyof typeof material]: _, ...rest } = material;
        assert.throws(() => read(Buffer.from(JSON.stringify(rest))), damaged, member);
      }
      assert.throws(() => read(Buffer.from(JSON.stringify({ ...material, more: 1 }))), damaged);
    });

    it(`of scheme ${material.scheme} is refused with any member of another form`, () => {
      for (const member of Object.keys(material))
        for (const other of [null, 0, -1, 1.5, 65_536 * 2, "", "1", [], {}, true, "AB".repeat(64), "ab".repeat(600)])
          assert.throws(() => read(Buffer.from(JSON.stringify({ ...material, [member]: other }))), damaged);
    });

    it(`of scheme ${material.scheme} does not stand for another kind of key`, () => {
      const others = schemes.filter((scheme) => scheme !== material.scheme);
      assert.throws(() => readMaterial({ ...name, material: writeMaterial(material) }, others), damaged);
    });
  }

  it("is refused when it is not JSON, not an object, or far too long", () => {
    for (const text of ["", "{", "null", "[]", '"sm2-key"', "7", `${" ".repeat(3000)}{}`])
      assert.throws(() => read(Buffer.from(text)), damaged);
  });

  it("does not take members that every object has for its own", () => {
    for (const text of [
      '{"scheme":"__proto__"}',
      '{"scheme":"constructor"}',
      `{"scheme":"sm2-key","keyIndex":1,"__proto__":{"publicKey":"${point}"}}`,
    ])
      assert.throws(() => read(Buffer.from(text)), damaged);
  });

  it("is vouched for under the key's name: another key's statement is another", () => {
    const members = { scheme: "sm2-key", keyIndex: 1, publicKey: point } as const;
    const statement = statementOf(name, members);
    for (const other of [
      statementOf({ ...name, keyId: randomUUID() }, members),
      statementOf({ ...name, version: 2 }, members),
      statementOf({ ...name, suite: "intl" }, members),
      statementOf(name, { ...members, keyIndex: 2 }),
      statementOf(name, { ...members, publicKey: "00".repeat(64) }),
    ])
      assert.notDeepEqual(other, statement);
  });
});
