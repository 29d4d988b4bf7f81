import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { codeLifeMs, OneTimeCodes } from "../../../../src/server/console/one-time-codes.ts";

const alice = "arn:aws:iam::123456789012:user/alice";
const bob = "arn:aws:iam::123456789012:user/bob";

function codesAt() {
  const clock = { nowMs: 1000 };
  const codes = new OneTimeCodes(() => clock.nowMs);
  const issue = (principal: string) => {
    using code = codes.issue(principal);
    return code.expose((bytes) => bytes.toString("ascii"));
  };
  return { clock, codes, issue, redeem: (typed: string) => codes.redeem(Buffer.from(typed)) };
}

describe("one-time codes for the console", () => {
  it("are twelve characters of Crockford's base 32 in three groups, and all differ", () => {
    const { issue } = codesAt();
    const issued = Array.from({ length: 200 }, () => issue(alice));
    for (const code of issued) assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
    assert.equal(new Set(issued).size, 200);
  });

  it("sign in the principal that they were made for, once", () => {
    const { issue, redeem } = codesAt();
    const code = issue(alice);
    assert.equal(redeem(code), alice);
    assert.equal(redeem(code), undefined);
  });

  it("are read whatever the case, the dashes and the spaces, with O for 0 and I or L for 1", () => {
    const { issue, redeem } = codesAt();
    for (const typed of [
      (code: string) => code.toLowerCase(),
      (code: string) => ` ${code.replaceAll("-", " ")} `,
      (code: string) => code.replaceAll("-", "").replaceAll("0", "o").replaceAll("1", "l"),
      (code: string) => code.replaceAll("0", "O").replaceAll("1", "I"),
    ])
      assert.equal(redeem(typed(issue(alice))), alice);
  });

  it("end after five minutes", () => {
    const { clock, issue, redeem } = codesAt();
    const code = issue(alice);
    clock.nowMs += codeLifeMs - 1;
    const other = issue(bob);
    clock.nowMs += 1;
    assert.equal(redeem(code), undefined);
    assert.equal(redeem(other), bob);
  });

  it("end with a newer one for the same principal, not with one for another", () => {
    const { issue, redeem } = codesAt();
    const [first, second, other] = [issue(alice), issue(alice), issue(bob)];
    assert.equal(redeem(first), undefined);
    assert.equal(redeem(other), bob);
    assert.equal(redeem(second), alice);
  });

  it("end with the revocation of their principal, and do not come back when it is enabled again", () => {
    const { codes, issue, redeem } = codesAt();
    const [revoked, other] = [issue(alice), issue(bob)];
    codes.endOfRevoked((principal) => principal !== alice);
    codes.endOfRevoked(() => true);
    assert.equal(redeem(revoked), undefined);
    assert.equal(redeem(other), bob);
  });

  it("are refused when anything else was typed, and outlive the attempt", () => {
    const { issue, redeem } = codesAt();
    const code = issue(alice);
    const changed = `${code.slice(0, -1)}${code.endsWith("0") ? "1" : "0"}`;
    for (const typed of ["", "-", changed, `${code}0`, code.slice(0, -1), `${code}\n`, "U".repeat(12), "é".repeat(12)])
      assert.equal(redeem(typed), undefined, JSON.stringify(typed));
    assert.equal(redeem("0".repeat(100_000)), undefined);
    assert.equal(redeem(code), alice);
  });

  it("are kept for at most 32 principals at once: the oldest end first", () => {
    const { issue, redeem } = codesAt();
    const issued = Array.from({ length: 33 }, (_, index) => issue(`${alice}${index}`));
    assert.equal(redeem(issued[0] ?? ""), undefined);
    assert.equal(redeem(issued[1] ?? ""), `${alice}1`);
    assert.equal(redeem(issued[32] ?? ""), `${alice}32`);
  });

  it("show nothing when the object that holds them is printed", async () => {
    const { codes, issue } = codesAt();
    const code = issue(alice);
    const { inspect } = await import("node:util");
    assert.ok(!inspect(codes, { depth: 9, showHidden: true }).includes(code.replaceAll("-", "").slice(0, 6)));
  });
});
