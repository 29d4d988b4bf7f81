import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import type { Context } from "../../../src/crypto/context.ts";
import { encodedContext } from "../../../src/crypto/known-contexts.ts";
import { type BoxType, readBox, sealBox } from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../../../src/crypto/suite.ts";
import { DirectOpener, type Opener, ThreadedOpener } from "../../../src/custody/opening/opener.ts";
import type { Opening } from "../../../src/custody/opening/packed-openings.ts";

const openers: Readonly<Record<string, () => Opener>> = {
  DirectOpener: () => new DirectOpener(),
  ThreadedOpener: () => new ThreadedOpener(),
};

interface Sealed {
  readonly plaintext: Buffer;
  readonly opening: Opening;
}

function seal(
  index: number,
  { suite = "intl", type = "dataKey" }: { suite?: SuiteName; type?: BoxType } = {},
  change: (box: Buffer) => void = () => {},
): Sealed {
  const plaintext = randomBytes(1 + (index % 100));
  const secret = SecretBuffer.random(32);
  const context: Context = { node: `node-${index}` };
  const header = {
    suite: suites[suite],
    type,
    keyId: "11111111-2222-3333-4444-555555555555",
    keyVersion: 1,
    deviceAlgorithm: 1,
    deviceBlob: Buffer.alloc(0),
  };
  const box = sealBox(header, secret, context, plaintext);
  change(box);
  return { plaintext, opening: { box: readBox(box), context: encodedContext(suites[suite], context), secret } };
}

const refused = { code: "BOX_REFUSED" };
const flipLastBit = (box: Buffer) => {
  box[box.length - 1] = (box.at(-1) ?? 0) ^ 1;
};

/** Every opener keeps this contract; one box is opened in the caller's thread, a crowd is not. */
for (const [name, make] of Object.entries(openers))
  for (const [amount, count] of Object.entries({ "one box": 1, "a crowd": 150 }))
    describe(`${name} given ${amount}`, () => {
      const openAll = async (sealed: readonly Sealed[]) => {
        const opener = make();
        try {
          return await Promise.allSettled(sealed.map(({ opening }) => opener.open(opening)));
        } finally {
          await opener.close();
        }
      };

      it("gives each caller what was in its own box, of either suite", async () => {
        const sealed = Array.from({ length: count }, (_, index) => seal(index, { suite: index % 2 ? "sm" : "intl" }));
        const results = await openAll(sealed);
        for (const [index, result] of results.entries()) {
          assert.equal(result.status, "fulfilled");
          result.value.expose((bytes) => assert.deepEqual(bytes, sealed[index]?.plaintext));
        }
      });

      it("refuses the changed, the foreign and the other type, and only those", async () => {
        const wrong = [
          () => seal(1, {}, flipLastBit),
          () => seal(2, { type: "file" }),
          () => ({ ...seal(3), opening: { ...seal(3).opening, secret: SecretBuffer.random(32) } }),
          () => ({ ...seal(4), opening: { ...seal(4).opening, context: encodedContext(suites.intl, { node: "x" }) } }),
        ];
        const sealed = Array.from({ length: count * wrong.length }, (_, index) =>
          index % 8 < 4 ? (wrong[index % 4] as () => Sealed)() : seal(index),
        );
        const results = await openAll(sealed);
        for (const [index, result] of results.entries())
          if (index % 8 < 4) assert.equal((result as PromiseRejectedResult).reason?.code, refused.code);
          else assert.equal(result.status, "fulfilled");
      });

      it("wipes the secrets, of refused boxes too", async () => {
        const sealed = Array.from({ length: count }, (_, index) =>
          seal(index, {}, index % 2 ? flipLastBit : undefined),
        );
        await openAll(sealed);
        for (const { opening } of sealed) assert.ok(opening.secret.disposed);
      });
    });

describe("the opener's thread", () => {
  it("fails what it had when it is lost, tells, and later boxes are opened here", async () => {
    const lost = Promise.withResolvers<Error>();
    const opener = new ThreadedOpener(lost.resolve);
    const broken = seal(0);
    // No caller can send this: an encoding of the context that the thread can't read back as one block.
    const unreadable = { ...broken.opening, box: { ...broken.opening.box, whole: Buffer.from("not a box") } };
    const crowd = [unreadable, ...Array.from({ length: 8 }, (_, index) => seal(index).opening)];
    const results = await Promise.allSettled(crowd.map((opening) => opener.open(opening)));
    assert.ok(results.every(({ status }) => status === "rejected"));
    await lost.promise;
    const again = Array.from({ length: 8 }, (_, index) => seal(index));
    for (const [index, opened] of (await Promise.all(again.map(({ opening }) => opener.open(opening)))).entries())
      opened.expose((bytes) => assert.deepEqual(bytes, again[index]?.plaintext));
    await opener.close();
  });

  it("is told of no loss when it is closed", async () => {
    let told = false;
    const opener = new ThreadedOpener(() => {
      told = true;
    });
    await opener.close();
    await new Promise(setImmediate);
    assert.equal(told, false);
  });
});
