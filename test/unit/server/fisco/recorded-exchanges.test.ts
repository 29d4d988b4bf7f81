import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { type FiscoDoor, startFiscoDoor } from "../../../../src/server/fisco/door.ts";
import { type FakeCustody, fakeCustody, secret } from "../../../fisco-stand-in/fake-custody.ts";
import { fiscoCall, rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";
import { recorded, withoutDate } from "../../../fisco-stand-in/recorded.ts";

const host = "127.0.0.1";

for (const mode of ["standard", "sm"] as const)
  describe(`the FISCO door replays what the original answered, ${mode}`, () => {
    const superKey = secret("123xyz");
    let door: FiscoDoor;
    before(async () => {
      door = await startFiscoDoor(fakeCustody(), { host, port: 0, mode, superKey, operatorCalls: true });
      await fiscoCall(door.address.port, "encDataKey", "123456");
    });
    after(() => door.close());

    for (const exchange of mode === "standard" ? [...recorded.standard, ...recorded.node] : recorded.sm)
      it(`answers byte for byte: ${exchange.name}`, async () => {
        assert.equal(withoutDate(await rawExchange(door.address.port, exchange.request)), exchange.response);
      });

    it("goes on answering after what crashed the original", async () => {
      for (const text of ["", "zzzz"]) {
        const { error, dataKey } = await fiscoCall(door.address.port, "decDataKey", text);
        assert.deepEqual({ error, dataKey }, { error: 1, dataKey: "" });
      }
      assert.equal((await fiscoCall(door.address.port, "encDataKey", "123456")).error, 0);
    });
  });

describe("published and recorded keys through the FISCO door", () => {
  const custody: FakeCustody = fakeCustody();
  const pairs = new Map(
    [...recorded.cipherDataKeys, ...recorded.nodeKeyFiles].map((one) => [`${one.mode} ${one.superKey}`, one]),
  );
  const doors = new Map<string, FiscoDoor>();
  const doorOf = (one: { mode: string; superKey: string }) => {
    const port = doors.get(`${one.mode} ${one.superKey}`)?.address.port;
    assert.ok(port !== undefined);
    return port;
  };
  before(async () => {
    for (const [name, { mode, superKey }] of pairs)
      doors.set(
        name,
        await startFiscoDoor(custody, { host, port: 0, mode, superKey: secret(superKey), operatorCalls: true }),
      );
  });
  after(() => Promise.all([...doors.values()].map((door) => door.close())));

  for (const one of recorded.cipherDataKeys)
    it(`encrypts and opens ${one.id} (${one.mode})`, async () => {
      const port = doorOf(one);
      assert.equal((await fiscoCall(port, "encDataKey", one.dataKey)).dataKey, one.cipherDataKey);
      assert.equal((await fiscoCall(port, "decDataKey", one.cipherDataKey)).dataKey, one.decDataKeyResult);
    });

  for (const file of recorded.nodeKeyFiles)
    if (file.plainPem !== undefined) {
      const plain = file.plainPem;
      it(`encrypts the key file ${file.id} (${file.mode})`, async () => {
        const port = doorOf(file);
        await fiscoCall(port, "encDataKey", file.dataKey);
        assert.equal(createHash("sha256").update(plain).digest("hex"), file.plainSha256);
        const base64 = Buffer.from(plain).toString("base64");
        assert.deepEqual(await fiscoCall(port, "encWithCipherKey", base64, file.cipherDataKey), {
          dataKey: file.encryptedFileText,
          error: 0,
          info: "success",
        });
      });
    }
});
