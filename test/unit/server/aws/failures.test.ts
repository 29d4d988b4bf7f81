import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CustodyError, type CustodyErrorCode, custodyErrors } from "../../../../src/custody/errors.ts";
import { awsFailureOf } from "../../../../src/server/aws/errors.ts";
import { inAwsWords } from "../../../../src/server/aws/failures.ts";

describe("failures that are no fault of the request", () => {
  const request = {
    operation: "Encrypt",
    principal: "arn:aws:iam::123456789012:user/uma",
    identity: { account: "123456789012", region: "local", localAdministrator: "" },
  };
  const answerTo = (code: CustodyErrorCode) => awsFailureOf(inAwsWords(new CustodyError(code, "inner words"), request));

  it("are told as such, so that clients try again, and without what is inside", () => {
    assert.deepEqual(answerTo("RECORD_NOT_WRITTEN"), {
      status: 503,
      type: "DependencyTimeoutException",
      message: "The request could not be put on record, so nothing was done. You can retry the request.",
    });
    for (const code of ["STATE_TAMPERED", "STORE_UNUSABLE", "STATE_ROLLED_BACK"] as const)
      assert.deepEqual(answerTo(code), {
        status: 500,
        type: "KMSInternalException",
        message: "The request failed inside the key manager.",
      });
  });

  it("are answered for every code that custody has; what nobody foresaw is left as it is", () => {
    for (const code of Object.keys(custodyErrors) as CustodyErrorCode[])
      assert.ok((answerTo(code)?.status ?? 0) >= 400, code);
    const unforeseen = new TypeError("x");
    assert.equal(inAwsWords(unforeseen, request), unforeseen);
    assert.equal(awsFailureOf(unforeseen), undefined);
  });
});
