import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CryptoError } from "../../../src/crypto/errors.ts";
import { maxOfPrincipal, withinShare } from "../../../src/custody/key-pair-shares.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { inAwsWords } from "../../../src/server/aws/failures.ts";

const caller = (name: string): Caller => ({ principal: name, door: "aws", peer: "127.0.0.1", requestId: "test" });
const busy = { code: "KEY_GENERATION_BUSY", status: 503 };

describe("the making of RSA keys", () => {
  it("is refused to a caller who waits for its share already, and to nobody else", async () => {
    const end = Promise.withResolvers<string>();
    const make = () => end.promise;
    const begun = Array.from({ length: maxOfPrincipal }, () => withinShare(caller("greedy"), "RSA_4096", make));
    await assert.rejects(withinShare(caller("greedy"), "RSA_2048", make), busy);
    const other = withinShare(caller("other"), "RSA_4096", make);
    assert.equal(await withinShare(caller("greedy"), "ECC_NIST_P256", async () => "curve"), "curve");
    end.resolve("made");
    assert.deepEqual(new Set(await Promise.all([...begun, other])), new Set(["made"]));
    assert.equal(await withinShare(caller("greedy"), "RSA_2048", make), "made");
  });

  it("is refused as busy where the queue of all callers is full, gives the share back, and throttles AWS's clients", async () => {
    const full = () => Promise.reject(new CryptoError("BUSY"));
    for (let attempt = 0; attempt <= maxOfPrincipal; attempt++) {
      const refused = await withinShare(caller("one"), "RSA_3072", full).catch((error: unknown) => error);
      assert.equal((refused as { code?: string }).code, busy.code);
      const identity = { account: "111122223333", region: "local", localAdministrator: "x" };
      const told = inAwsWords(refused, { operation: "CreateKey", principal: "one", identity });
      assert.equal((told as { type?: string }).type, "ThrottlingException");
    }
  });
});
