import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CryptoError } from "../../../src/crypto/errors.ts";
import { maxOfPrincipal, withinShare } from "../../../src/custody/key-pair-shares.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { inAwsWords } from "../../../src/server/aws/failures.ts";
import { TestKeyManager } from "./key-manager.ts";

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

  it("counts against a caller's share by CreateKey, GenerateDataKeyPair and GetParametersForImport alike", async () => {
    const km = await TestKeyManager.make();
    const { custody, admin } = km;
    const user = await km.user("many", "key-user");
    const { keyId: external } = await custody.keys.create(admin, { origin: "external" });
    const { keyId: key } = await custody.keys.create(admin, {});
    await custody.grants.create(admin, key, { grantee: user.principal, operations: ["GenerateDataKeyPair"] });
    const end = Promise.withResolvers<never>();
    const begun = [admin, user].flatMap((each) =>
      Array.from({ length: maxOfPrincipal }, () => withinShare(each, "RSA_4096", () => end.promise)),
    );
    const pair = { key, spec: "RSA_2048", context: {}, withPlaintext: false } as const;
    const wrapping = { key: external, algorithm: "RSAES_OAEP_SHA_256", wrappingKeySpec: "RSA_2048" } as const;
    await assert.rejects(custody.keys.create(admin, { spec: "RSA_2048", usage: "sign" }), busy, "CreateKey");
    await assert.rejects(custody.asymmetric.generateDataKeyPair(user, pair), busy, "GenerateDataKeyPair");
    await assert.rejects(custody.imports.parameters(admin, wrapping), busy, "GetParametersForImport");
    end.reject(new Error("over"));
    await Promise.allSettled(begun);
    await km.end();
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
