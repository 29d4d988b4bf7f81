import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Answer, AwsAccount } from "./aws-account.ts";

describe("lists of the AWS door, page by page", () => {
  let account: AwsAccount;
  let id: string;
  before(async () => {
    account = await AwsAccount.make();
    id = await account.key();
    for (let index = 0; index < 4; index++) await account.key();
    for (let index = 0; index < 5; index++) {
      const TagKey = `tag-${index}`;
      await account.do("CreateAlias", { AliasName: `alias/a${index}`, TargetKeyId: id });
      await account.do("TagResource", { KeyId: id, Tags: [{ TagKey, TagValue: "v" }] });
      await account.do("RotateKeyOnDemand", { KeyId: id });
      const { principal } = account.nobody;
      await account.do("CreateGrant", {
        KeyId: id,
        GranteePrincipal: principal,
        RetiringPrincipal: principal,
        Operations: ["Decrypt"],
        Name: TagKey,
      });
    }
  });
  after(() => account.end());

  function lists(): readonly (readonly [string, Record<string, unknown>, string, number])[] {
    return [
      ["ListKeys", {}, "Keys", 5],
      ["ListAliases", {}, "Aliases", 5],
      ["ListAliases", { KeyId: id }, "Aliases", 5],
      ["ListResourceTags", { KeyId: id }, "Tags", 5],
      ["ListGrants", { KeyId: id }, "Grants", 5],
      ["ListRetirableGrants", { RetiringPrincipal: account.nobody.principal }, "Grants", 5],
      ["ListKeyRotations", { KeyId: id }, "Rotations", 5],
      ["ListKeyRotations", { KeyId: id, IncludeKeyMaterial: "ALL_KEY_MATERIAL" }, "Rotations", 6],
      ["ListKeyPolicies", { KeyId: id }, "PolicyNames", 1],
    ];
  }

  it("come whole in one page, and one by one in as many pages as they have items", async () => {
    for (const [operation, input, member, count] of lists()) {
      const whole = await account.do(operation, input);
      assert.equal(whole[member].length, count, operation);
      assert.deepEqual([whole.Truncated, whole.NextMarker], [false, undefined]);
      const walked: Answer[] = [];
      let marker: string | undefined;
      for (let page = 1; page <= count; page++) {
        const answer: Answer = await account.do(operation, { ...input, Limit: 1, ...(marker && { Marker: marker }) });
        assert.equal(answer[member].length, 1);
        assert.equal(answer.Truncated, page < count);
        assert.equal(typeof answer.NextMarker, page < count ? "string" : "undefined");
        walked.push(...answer[member]);
        marker = answer.NextMarker;
      }
      assert.deepEqual(walked, whole[member], operation);
    }
  });

  it("refuse a marker that they did not give", async () => {
    for (const [operation, input] of lists())
      for (const Marker of ["!", "YQ==", "a b", "a"])
        await account.refuses(operation, { ...input, Marker }, "InvalidMarkerException");
  });

  it("go on after an item that is gone, and tell nothing twice", async () => {
    const first = await account.do("ListAliases", { Limit: 2 });
    await account.do("DeleteAlias", { AliasName: first.Aliases[1].AliasName });
    const rest = await account.do("ListAliases", { Marker: first.NextMarker });
    assert.deepEqual(
      rest.Aliases.map(({ AliasName }: { AliasName: string }) => AliasName),
      ["alias/a2", "alias/a3", "alias/a4"],
    );
  });

  it("hold what a filter asks for", async () => {
    const all = (await account.do("ListGrants", { KeyId: id })).Grants;
    const { GrantId } = all[3];
    assert.deepEqual((await account.do("ListGrants", { KeyId: id, GrantId })).Grants, [all[3]]);
    assert.deepEqual((await account.do("ListGrants", { KeyId: id, GrantId: "none" })).Grants, []);
    const GranteePrincipal = account.user.principal;
    assert.deepEqual((await account.do("ListGrants", { KeyId: id, GranteePrincipal })).Grants, []);
    assert.deepEqual((await account.do("ListAliases", { KeyId: await account.key() })).Aliases, []);
  });
});
