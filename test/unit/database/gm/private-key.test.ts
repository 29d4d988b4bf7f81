import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openPrivateKey, type PrivateKeyForm, sealPrivateKey } from "../../../../src/database/gm/private-key.ts";
import { sealContainer } from "../../../../src/database/gm/private-key-v2.ts";
import { long, seed } from "../../../run-settings.ts";
import { base64urlDigits, hexDigits, masterKey, pincodeOf, withCharacterChanged } from "./keys-in-tests.ts";

const { scalar, publicKey } = masterKey;
const refused = {
  code: "PRIVATE_KEY_REFUSED",
  exitCode: 3,
  message: "the private key does not open: wrong pincode, another public key, or an altered or malformed private key",
};
/** As cheap as is read: these tests open hundreds of containers. */
const cheap = { cost: 16_384, blockSize: 8, parallelization: 1 };
const prefix = "strongroom-gm-v2.";

const vectors: readonly {
  readonly source: string;
  readonly form: PrivateKeyForm;
  readonly pincode: string;
  readonly scalar: string;
  readonly publicKey: string;
  readonly text: string;
}[] = JSON.parse(readFileSync(new URL("../../../vectors/gm-private-key.json", import.meta.url), "utf8"));

async function isRefused(text: string, pincode = "a pincode", key = publicKey): Promise<void> {
  using secret = pincodeOf(pincode);
  await assert.rejects(openPrivateKey({ text, publicKey: key, pincode: secret }), refused);
}

async function container(pincode = "a pincode"): Promise<string> {
  using secret = pincodeOf(pincode);
  return sealContainer({ scalar, publicKey, pincode: secret }, cheap);
}

/** A container whose bytes were changed. */
function edited(text: string, edit: (bytes: Buffer) => void): string {
  const bytes = Buffer.from(text.slice(prefix.length), "base64url");
  edit(bytes);
  return prefix + bytes.toString("base64url");
}

for (const form of ["v1", "v2"] as const)
  describe(`private key of form ${form}`, () => {
    it("opens with its pincode and its public key, with white space around it, and to nothing else", async () => {
      using pincode = pincodeOf("correct horse 电池");
      const text = await sealPrivateKey({ scalar, publicKey, pincode }, form);
      assert.match(text, form === "v1" ? /^[0-9a-f]{64}$/ : /^strongroom-gm-v2\.[\w-]{130}$/);
      using opened = await openPrivateKey({ text: ` ${text}\r\n`, publicKey, pincode });
      assert.equal(opened.equals(scalar), true);

      await isRefused(text, "correct horse 电泄");
      await isRefused(text, "correct horse 电池\n");
      await isRefused(text, "");
      await isRefused(text, "correct horse 电池", generateKeyPair("sm2").publicKey);
      assert.equal(
        scalar.expose((bytes) => text.includes(bytes.toString("hex"))),
        false,
      );
    });

    it("takes no empty pincode", async () => {
      using pincode = pincodeOf("");
      await assert.rejects(sealPrivateKey({ scalar, publicKey, pincode }, form), { code: "PINCODE_INVALID" });
    });

    it("takes no public key of another private key", async () => {
      using pincode = pincodeOf("a pincode");
      const other = generateKeyPair("sm2").publicKey;
      await assert.rejects(sealPrivateKey({ scalar, publicKey: other, pincode }, form), RangeError);
    });

    for (const vector of vectors.filter((each) => each.form === form))
      it(`opens what was sealed before: ${vector.source}`, async () => {
        using pincode = pincodeOf(vector.pincode);
        const key = Buffer.from(vector.publicKey, "hex");
        using opened = await openPrivateKey({ text: vector.text, publicKey: key, pincode });
        assert.equal(opened.equals(Buffer.from(vector.scalar, "hex")), true);
      });
  });

describe("private key of form v1", () => {
  it("is the same text for the same key and pincode, and another for another pincode", async () => {
    using pincode = pincodeOf("one");
    using other = pincodeOf("two");
    const text = await sealPrivateKey({ scalar, publicKey, pincode }, "v1");
    assert.equal(await sealPrivateKey({ scalar, publicKey, pincode }, "v1"), text);
    assert.notEqual(await sealPrivateKey({ scalar, publicKey, pincode: other }, "v1"), text);
  });

  it("is refused with any digit changed", async () => {
    using pincode = pincodeOf("a pincode");
    const text = await sealPrivateKey({ scalar, publicKey, pincode }, "v1");
    const places = long ? Array.from(text, (_, at) => at) : [0, seed % 64, 63];
    for (const at of places) await isRefused(withCharacterChanged(text, at, hexDigits));
  });

  for (const [what, text] of [
    ["an empty text", ""],
    ["63 digits", "a".repeat(63)],
    ["65 digits", "a".repeat(65)],
    ["two lines", `${"a".repeat(64)}\n${"a".repeat(64)}`],
    ["white space inside", `${"a".repeat(32)} ${"a".repeat(31)}`],
    ["letters that are no digits", "g".repeat(64)],
    ["full-width digits", "１".repeat(64)],
    ["more text than is looked at", " ".repeat(2000) + "a".repeat(64)],
  ] as const)
    it(`is refused as ${what}, by the one error`, () => isRefused(text));

  it("is refused when the pincode makes it a number that is out of range", async () => {
    // Whoever knows the pincode can make the number 0, or one above the curve's order.
    using pincode = pincodeOf("a pincode");
    const text = Buffer.from(await sealPrivateKey({ scalar, publicKey, pincode }, "v1"), "hex");
    const pad = scalar.expose((number) => text.map((byte, at) => byte ^ (number[at] ?? 0)));
    await isRefused(Buffer.from(pad).toString("hex"));
    await isRefused(Buffer.from(pad.map((byte) => byte ^ 0xff)).toString("hex"));
  });
});

describe("private key of form v2", () => {
  it("is another text each time", async () => {
    assert.notEqual(await container(), await container());
  });

  it("opens with the costs that it names", async () => {
    using pincode = pincodeOf("a pincode");
    using opened = await openPrivateKey({ text: await container(), publicKey, pincode });
    assert.equal(opened.equals(scalar), true);
  });

  it("is refused with any bit of any byte changed", async () => {
    const text = await container();
    const length = Buffer.from(text.slice(prefix.length), "base64url").length;
    assert.equal(length, 97);
    const step = long ? 1 : 6;
    for (let at = seed % step; at < length; at += step)
      await isRefused(edited(text, (bytes) => bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (at % 8)), at)));
  });

  it("is refused with any character of its prefix changed, as it then has no known form", async () => {
    const text = await container();
    for (let at = 0; at < prefix.length; at++) await isRefused(withCharacterChanged(text, at, base64urlDigits));
  });

  it("is refused at every shorter length, and with anything after it", async () => {
    const text = await container();
    for (let length = 0; length < text.length; length++) await isRefused(text.slice(0, length));
    for (const tail of ["A", "AA", "AAAA", "=", "==", ".", "\0", " x"]) await isRefused(text + tail);
  });

  it("is refused in another spelling of the same bytes", async () => {
    const text = await container();
    const body = text.slice(prefix.length);
    await isRefused(`${prefix}${Buffer.from(body, "base64url").toString("base64")}`);
    await isRefused(`${prefix}${body.slice(0, 10)}\n${body.slice(10)}`);
    // 97 bytes are 130 characters, the last of which has 4 bits that nobody reads.
    const last = base64urlDigits.indexOf(body.at(-1) ?? "");
    await isRefused(text.slice(0, -1) + base64urlDigits[last + 1]);
  });

  it("is refused when its costs are too small to protect a pincode, or too large to pay, before they are paid", async () => {
    const text = await container();
    for (const [at, value] of [
      [2, 13],
      [2, 18],
      [2, 63],
      [2, 255],
      [3, 1],
      [3, 9],
      [3, 255],
      [4, 0],
      [4, 5],
      [4, 255],
    ] as const)
      await isRefused(edited(text, (bytes) => bytes.writeUInt8(value, at)));
  });

  it("is refused for a public key whose private half it holds not, even by who knows the pincode", async () => {
    using stranger = SecretBuffer.random(32);
    using pincode = pincodeOf("a pincode");
    const text = await sealContainer({ scalar: stranger, publicKey, pincode }, cheap);
    await isRefused(text);
  });
});
