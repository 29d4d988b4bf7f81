import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnclaveError, type EnclaveErrorCode, enclaveErrors } from "../../../../../src/enclave/errors.ts";
import { checkCommitted, fromGateway } from "../../../../../src/enclave/ledger/fabric/failures.ts";

/** As fabric-gateway's client makes one. */
function gatewayError(
  message: string,
  code: number,
  details: readonly { mspId: string; message: string }[] = [],
): Error {
  return Object.assign(new Error(message), { name: "EndorseError", code, details });
}
const aborted = "10 ABORTED: failed to endorse transaction, see attached details for more info";

function classOf(error: unknown): EnclaveErrorCode {
  return fromGateway(error, "a call").code;
}

describe("an error of Fabric's gateway", () => {
  it("is the reason class that chaincode gave, with chaincode's own words, for every class there is", () => {
    for (const code of Object.keys(enclaveErrors)) {
      const details = [{ mspId: "Org1MSP", message: `chaincode response 500, ${code}: the words: all of them` }];
      const error = fromGateway(gatewayError(aborted, 10, details), "a call");
      assert.equal(error.code, code);
      assert.equal(error.message, "the words: all of them");
    }
  });

  it("is the first class that any endorser gave, behind those that gave none", () => {
    const details = [
      { mspId: "Org1MSP", message: "error in simulation: transaction returned with failure" },
      { mspId: "Org2MSP", message: "chaincode response 500, EK_MISMATCH: another key" },
      { mspId: "Org3MSP", message: "chaincode response 500, ALREADY_SET: there" },
    ];
    assert.equal(classOf(gatewayError(aborted, 10, details)), "EK_MISMATCH");
  });

  it("is read from the message where there are no details, in spite of gRPC's own status before it", () => {
    const message = "2 UNKNOWN: evaluate call to endorser returned error: chaincode response 500, NOT_FOUND: none";
    assert.equal(classOf(gatewayError(message, 2)), "NOT_FOUND");
  });

  it("is not the class of a text that chaincode did not give", () => {
    for (const text of ["ALREADY_SET: says a proxy", "chaincode response 500", "response 500, ALREADY_SET: x"])
      assert.equal(classOf(gatewayError(aborted, 10, [{ mspId: "Org1MSP", message: text }])), "LEDGER_UNAVAILABLE");
    assert.equal(
      classOf(gatewayError(aborted, 10, [{ mspId: "Org1MSP", message: "chaincode response 500, SOMETHING: x" }])),
      "LEDGER_UNAVAILABLE",
    );
  });

  it("is UNAUTHORIZED when the peer knows the client not, or lets it not", () => {
    const denied = [
      { mspId: "Org1MSP", message: "error validating proposal: access denied: channel [ch] creator org" },
    ];
    assert.equal(classOf(gatewayError(aborted, 10, denied)), "UNAUTHORIZED");
    assert.equal(classOf(gatewayError("7 PERMISSION_DENIED: no", 7)), "UNAUTHORIZED");
    assert.equal(classOf(gatewayError("16 UNAUTHENTICATED: no", 16)), "UNAUTHORIZED");
  });

  it("is CONFLICT when the endorsers differ", () => {
    assert.equal(classOf(gatewayError("10 ABORTED: ProposalResponsePayloads do not match", 10)), "CONFLICT");
  });

  it("is LEDGER_UNAVAILABLE for all else, and names what was tried and what was said", () => {
    const details = [{ mspId: "Org1MSP", message: "connection refused" }];
    for (const code of [1, 4, 9, 13, 14]) {
      const error = fromGateway(gatewayError("words", code, details), "ercc did not answer");
      assert.equal(error.code, "LEDGER_UNAVAILABLE");
      assert.equal(error.message, "ercc did not answer: words; Org1MSP: connection refused");
      assert.ok(error.cause instanceof Error);
    }
    assert.equal(classOf("a text"), "LEDGER_UNAVAILABLE");
    assert.equal(classOf(undefined), "LEDGER_UNAVAILABLE");
    assert.equal(classOf(Object.assign(new Error("odd"), { details: "text" })), "LEDGER_UNAVAILABLE");
    assert.equal(classOf(Object.assign(new Error("odd"), { details: [{}, null, 1] })), "LEDGER_UNAVAILABLE");
  });

  it("stays an error that has a class already", () => {
    const error = new EnclaveError("UNSEAL_FAILED");
    assert.equal(fromGateway(error, "a call"), error);
  });
});

describe("a transaction's code at its commit", () => {
  const classOfCode = (code: number) => {
    try {
      checkCommitted("tx", { successful: false, code });
    } catch (error) {
      return error instanceof EnclaveError ? error.code : undefined;
    }
    return undefined;
  };

  it("is a conflict of reads or ranges, too few endorsements, a replay or a bad signature", () => {
    assert.deepEqual([11, 12, 10, 9, 4].map(classOfCode), [
      "CONFLICT",
      "CONFLICT",
      "POLICY_DENIED",
      "REPLAY",
      "BAD_SIGNATURE",
    ]);
  });

  it("is an error of some class for every code that is not valid, known or not", () => {
    for (let code = 1; code <= 255; code++) assert.ok(classOfCode(code), `${code}`);
    checkCommitted("tx", { successful: true, code: 0 });
  });
});
