import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Caller } from "../../../../src/custody/service.ts";
import { AwsAccount, b64, reveal } from "./aws-account.ts";

type Context = Readonly<Record<string, string>>;

/** Key policies in the words of the AWS KMS Developer Guide, as they decide at the door. */
describe("a key policy as AWS writes it", () => {
  let account: AwsAccount;
  let keyId: string;
  let user: Caller;
  before(async () => {
    account = await AwsAccount.make();
    user = account.nobody;
  });
  after(() => account.end());
  beforeEach(async () => {
    keyId = await account.key();
  });

  const rootArn = () => `arn:aws:iam::${account.km.custody.identity.account}:root`;
  const accountStatement = () => ({
    Sid: "Enable IAM User Permissions",
    Effect: "Allow",
    Principal: { AWS: rootArn() },
    Action: "kms:*",
    Resource: "*",
  });
  const withStatements = (...more: readonly object[]) =>
    JSON.stringify({ Version: "2012-10-17", Id: "key-default-1", Statement: [accountStatement(), ...more] }, null, 2);
  const put = (...more: readonly object[]) =>
    account.do("PutKeyPolicy", { KeyId: keyId, PolicyName: "default", Policy: withStatements(...more) });
  const forUser = (Effect: "Allow" | "Deny", Action: string | readonly string[], Condition?: object) => ({
    Sid: "For the user",
    Effect,
    Principal: { AWS: user.principal },
    Action,
    Resource: "*",
    ...(Condition === undefined ? {} : { Condition }),
  });
  const encrypt = (EncryptionContext: Context = {}, caller = user) =>
    account.run(caller, "Encrypt", { KeyId: keyId, Plaintext: b64("x"), EncryptionContext });
  const denies = async (operation: string, input: object, caller = user) =>
    assert.equal((await account.failure(caller, operation, { KeyId: keyId, ...input })).type, "AccessDeniedException");
  const deniesEncrypt = (EncryptionContext: Context = {}, caller = user) =>
    denies("Encrypt", { Plaintext: b64("x"), EncryptionContext }, caller);

  it("denies over a grant and over its own Allow", async () => {
    await account.do("CreateGrant", {
      KeyId: keyId,
      GranteePrincipal: user.principal,
      Operations: ["Encrypt", "Decrypt"],
    });
    const { CiphertextBlob } = await encrypt();
    await put(forUser("Allow", "kms:*"), { ...forUser("Deny", "kms:Decrypt"), Sid: "Not this" });
    await encrypt();
    await denies("Decrypt", { CiphertextBlob: b64(CiphertextBlob) });
  });

  it("allows from an address (aws:SourceIp)", async () => {
    await put(forUser("Allow", "kms:Encrypt", { IpAddress: { "aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"] } }));
    for (const peer of ["203.0.113.7", "2001:db8::7"]) await encrypt({}, { ...user, peer });
    for (const peer of ["203.0.114.7", "2001:db9::7", "127.0.0.1", "not an address"])
      await deniesEncrypt({}, { ...user, peer });
  });

  it("allows until a time (aws:CurrentTime)", async () => {
    const { km } = account;
    const until = new Date(km.nowMs + 60_000).toISOString().replace(/\.\d+Z$/, "Z");
    await put(forUser("Allow", "kms:Encrypt", { DateLessThan: { "aws:CurrentTime": until } }));
    await encrypt();
    km.nowMs += 60_000;
    await deniesEncrypt();
  });

  it("allows under a context (kms:EncryptionContext:NAME)", async () => {
    const actions = ["kms:Encrypt", "kms:Decrypt"];
    await put(forUser("Allow", actions, { StringEquals: { "kms:EncryptionContext:AppName": "ExampleApp" } }));
    const context = { AppName: "ExampleApp", more: "x" };
    const { CiphertextBlob } = await encrypt(context);
    for (const other of [{}, { AppName: "exampleapp" }, { Other: "ExampleApp" }]) await deniesEncrypt(other);
    const opened = await account.run(user, "Decrypt", {
      CiphertextBlob: b64(CiphertextBlob),
      EncryptionContext: context,
    });
    assert.equal(reveal(opened.Plaintext).toString(), "x");
    await denies("Decrypt", { CiphertextBlob: b64(CiphertextBlob), EncryptionContext: { AppName: "other" } });
  });

  it("allows under names of a context, in exact case (kms:EncryptionContextKeys)", async () => {
    const named = { "ForAllValues:StringEquals": { "kms:EncryptionContextKeys": ["AppName", "FilePath"] } };
    const there = { Null: { "kms:EncryptionContextKeys": "false" } };
    await put(forUser("Allow", "kms:Encrypt", { ...named, ...there }));
    await encrypt({ AppName: "a" });
    await encrypt({ AppName: "a", FilePath: "b" });
    for (const other of [{}, { appname: "a" }, { AppName: "a", other: "b" }]) await deniesEncrypt(other);
  });

  it("allows grants of some operations alone (kms:GrantOperations)", async () => {
    const only = { "ForAllValues:StringEquals": { "kms:GrantOperations": ["Encrypt", "Decrypt"] } };
    await put(forUser("Allow", "kms:CreateGrant", only));
    const to = { GranteePrincipal: account.user.principal };
    const grant = (Operations: readonly string[]) =>
      account.run(user, "CreateGrant", { KeyId: keyId, ...to, Operations });
    await grant(["Decrypt"]);
    await grant(["Decrypt", "Encrypt"]);
    await denies("CreateGrant", { ...to, Operations: ["Decrypt", "GenerateDataKey"] });
    await denies("CreateGrant", { ...to, Operations: ["CreateGrant", "Decrypt"] });
  });

  it("allows everyone of an account (kms:CallerAccount)", async () => {
    const { account: own } = account.km.custody.identity;
    const everyone = (id: string) => ({
      Effect: "Allow",
      Principal: { AWS: "*" },
      Action: "kms:Encrypt",
      Resource: "*",
      Condition: { StringEquals: { "kms:CallerAccount": id } },
    });
    await put(everyone(own === "111122223333" ? "444455556666" : "111122223333"));
    await deniesEncrypt();
    await put(everyone(own));
    await encrypt();
  });

  it("is refused when it would lock its author out, unless that is asked for", async () => {
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [forUser("Allow", "kms:*")] });
    const request = { KeyId: keyId, PolicyName: "default", Policy };
    const { type } = await account.failure(account.admin, "PutKeyPolicy", request);
    assert.equal(type, "MalformedPolicyDocumentException");
    await account.do("DisableKey", { KeyId: keyId });
    await account.do("EnableKey", { KeyId: keyId });
    await account.do("PutKeyPolicy", { ...request, BypassPolicyLockoutSafetyCheck: true });
    await denies("PutKeyPolicy", request, account.admin);
    await account.run(user, "PutKeyPolicy", {
      ...request,
      Policy: withStatements(),
      BypassPolicyLockoutSafetyCheck: true,
    });
    await account.do("DisableKey", { KeyId: keyId });
  });
});

describe("who acts for another", () => {
  let account: AwsAccount;
  let keyId: string;
  before(async () => {
    account = await AwsAccount.make();
    keyId = await account.key();
  });
  after(() => account.end());

  const denied = async (caller: Caller, operation: string, input: object) => {
    const { type, message } = await account.failure(caller, operation, input);
    assert.equal(type, "AccessDeniedException", `${operation}: ${message}`);
  };

  it("cannot pass on by a grant what its own grant does not hold", async () => {
    const { km, nobody } = account;
    const third = km.as((await km.custody.users.create(km.admin, { name: "third" })).arn);
    const subset = { EncryptionContextSubset: { node: "n1" } };
    const grant = { KeyId: keyId, GranteePrincipal: nobody.principal, Constraints: subset };
    await account.do("CreateGrant", { ...grant, Operations: ["CreateGrant", "Decrypt"] });
    const passed = { KeyId: keyId, GranteePrincipal: third.principal };
    for (const more of [
      { Operations: ["Decrypt"] },
      { Operations: ["Encrypt"], Constraints: subset },
      { Operations: ["Decrypt", "Encrypt"], Constraints: subset },
      { Operations: ["Decrypt"], Constraints: { EncryptionContextSubset: { node: "n2" } } },
      { Operations: ["Decrypt"], Constraints: { EncryptionContextEquals: { node: "n2" } } },
      { Operations: ["Decrypt"], Constraints: { EncryptionContextSubset: { Node: "n1" } } },
    ]) {
      const { type, message } = await account.failure(nobody, "CreateGrant", { ...passed, ...more });
      assert.equal(type, "ValidationException");
      assert.match(message ?? "", /can pass on only what that grant holds, as strictly bound$/);
    }
    await account.do("CreateGrant", { ...grant, GranteePrincipal: third.principal, Operations: ["Decrypt"] });
    await denied(third, "CreateGrant", { ...passed, Operations: ["Decrypt"], Constraints: subset });
    const { GrantId } = await account.run(nobody, "CreateGrant", {
      ...passed,
      Operations: ["Decrypt"],
      Constraints: subset,
    });
    assert.ok(GrantId);
  });

  it("cannot re-encrypt from a key, or to one, by right of the other alone", async () => {
    const { km, nobody } = account;
    const [from, to] = [await account.key(), await account.key()];
    const give = (KeyId: string, Operations: readonly string[]) =>
      account.do("CreateGrant", { KeyId, GranteePrincipal: nobody.principal, Operations });
    const { CiphertextBlob } = await account.do("Encrypt", { KeyId: from, Plaintext: b64("x") });
    const request = { CiphertextBlob: b64(CiphertextBlob), DestinationKeyId: to };
    await give(to, ["ReEncryptTo"]);
    await denied(nobody, "ReEncrypt", request);
    await give(from, ["ReEncryptTo", "Decrypt", "Encrypt"]);
    await denied(nobody, "ReEncrypt", request);
    const { GrantId } = await give(from, ["ReEncryptFrom"]);
    await account.run(nobody, "ReEncrypt", request);
    await denied(nobody, "ReEncrypt", { ...request, DestinationKeyId: keyId });
    await account.do("RevokeGrant", { KeyId: from, GrantId });
    await denied(nobody, "ReEncrypt", request);
    assert.ok((await km.custody.audit.verify(km.admin)).ok);
  });

  it("is held to the whole context by Equals, and to its part by Subset", async () => {
    const { km, user } = account;
    const grantee = async (name: string, Constraints: object) => {
      const { arn } = await km.custody.users.create(km.admin, { name });
      await account.do("CreateGrant", { KeyId: keyId, GranteePrincipal: arn, Operations: ["Decrypt"], Constraints });
      return km.as(arn);
    };
    const exactly = await grantee("exactly", { EncryptionContextEquals: { node: "n1" } });
    const part = await grantee("part", { EncryptionContextSubset: { node: "n1" } });
    const opens = async (caller: Caller, EncryptionContext: Context) => {
      const made = await account.run(user, "Encrypt", { KeyId: keyId, Plaintext: b64("x"), EncryptionContext });
      const request = { CiphertextBlob: b64(made.CiphertextBlob), EncryptionContext };
      try {
        reveal((await account.run(caller, "Decrypt", request)).Plaintext);
        return true;
      } catch {
        return false;
      }
    };
    assert.deepEqual([await opens(exactly, { node: "n1" }), await opens(part, { node: "n1" })], [true, true]);
    const more = { node: "n1", kind: "key" };
    assert.deepEqual([await opens(exactly, more), await opens(part, more)], [false, true]);
    for (const other of [{}, { node: "N1" }, { Node: "n1" }, { node: "n2" }])
      assert.deepEqual([await opens(exactly, other), await opens(part, other)], [false, false]);
  });
});
