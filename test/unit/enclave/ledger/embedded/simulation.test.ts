import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RecordType } from "../../../../../src/enclave/ercc/registry-state.ts";
import { EnclaveError } from "../../../../../src/enclave/errors.ts";
import type { Chaincode, ChaincodeStub } from "../../../../../src/enclave/ledger/embedded/chaincode.ts";
import type { EmbeddedConnection } from "../../../../../src/enclave/ledger/embedded/connection.ts";
import type { EmbeddedLedger } from "../../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { policyOf } from "../../../../../src/enclave/ledger/signature-policy.ts";
import { callTrial } from "../../../../contract/enclave/trial-chaincode.ts";
import { mspIds, TrialFolder, trial, trialName } from "./trial-ledger.ts";

describe("a chaincode at an embedded ledger's peer", () => {
  let folder: TrialFolder;
  let ledger: EmbeddedLedger;
  let connection: EmbeddedConnection;
  before(async () => {
    folder = new TrialFolder();
    ledger = await folder.create();
    await ledger.define("other", { version: "1", sequence: 1n, policy: policyOf(1, mspIds) });
    connection = await ledger.connect(ledger.identity("Org1MSP", "client"));
  });
  after(async () => {
    await ledger[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const credentials: RecordType = "namespaces/credentials";
  /** Runs `chaincode` under the name `other`, once. */
  const run = (chaincode: Chaincode, transaction = "do") => {
    ledger.install("other", chaincode);
    return connection.submit("other", transaction, []);
  };
  const ok = (work: (stub: ChaincodeStub) => Promise<unknown>) =>
    run(async (stub) => {
      await work(stub);
      return "done";
    });

  it("gives and takes state by plain keys as well, apart from other chaincodes'", async () => {
    await ok((stub) => stub.putState("plain", Buffer.from("1")));
    await connection.submit(trialName, "put", ["plain", "2"]);
    const { result } = await run(async (stub) => (await stub.getState("plain")) ?? "nothing");
    assert.equal(result.toString(), "1");
    await ok((stub) => stub.deleteState("plain"));
    assert.equal((await run(async (stub) => (await stub.getState("plain")) ?? "nothing")).result.toString(), "nothing");
  });

  it("has keys in the order of their bytes, not of JavaScript's texts", async () => {
    const keys = ["range-z", "range-\u{1f511}", "range-\uffee", "range-A"];
    await ok(async (stub) => {
      for (const key of keys) await stub.putState(key, Buffer.from(key));
    });
    const { result } = await run(async (stub) => {
      const found: string[] = [];
      for await (const { key } of stub.stateRange("range-", "range.")) found.push(key);
      return found.join();
    });
    assert.equal(result.toString(), "range-A,range-z,range-\uffee,range-\u{1f511}");
  });

  it("scans the records whose first attributes are given, and no longer names that begin alike", async () => {
    const names = [["cc"], ["cc", "1"], ["cc", "2"], ["cc2", "1"], ["cc", "1", "x"]];
    await ok(async (stub) => {
      for (const attributes of names) await stub.put({ type: credentials, attributes }, Buffer.from("x"));
    });
    const { result } = await run(async (stub) => {
      const found: string[] = [];
      for await (const { attributes } of stub.scan(credentials, ["cc"])) found.push(attributes.join("/"));
      return found.join();
    });
    assert.equal(result.toString(), "cc,cc/1,cc/1/x,cc/2");
  });

  it("is in conflict with what comes into the part of a range that it has read, and not with what comes behind it", async () => {
    await ok(async (stub) => {
      for (const key of ["part-b", "part-d"]) await stub.putState(key, Buffer.from("1"));
    });
    const readingFirst: Chaincode = async (stub) => {
      if (stub.transaction !== "read") {
        await stub.putState(stub.transaction, Buffer.from("2"));
        return "written";
      }
      for await (const { key } of stub.stateRange("part-", "part.")) {
        await stub.putState("seen", Buffer.from(key));
        break;
      }
      return "read";
    };
    ledger.install("other", readingFirst);
    for (const [key, outcome] of [
      ["part-e", "fulfilled"],
      ["part-a", "rejected"],
    ] as const) {
      const both = [connection.submit("other", key, []), connection.submit("other", "read", [])];
      assert.deepEqual(
        (await Promise.allSettled(both)).map(({ status }) => status),
        ["fulfilled", outcome],
        key,
      );
    }
  });

  it("is refused empty values, keys without a name, and names that would be another record's", async () => {
    const value = Buffer.from("1");
    await assert.rejects(ok((stub) => stub.putState("empty", Buffer.alloc(0))));
    for (const work of [
      (stub: ChaincodeStub) => stub.putState("", value),
      (stub: ChaincodeStub) => stub.getState("\ud800"),
      (stub: ChaincodeStub) => stub.put({ type: credentials, attributes: ["a\u0000b"] }, value),
      (stub: ChaincodeStub) => stub.get({ type: credentials, attributes: [""] }),
    ])
      await assert.rejects(ok(work), { code: "MALFORMED" });
  });

  it("asks another chaincode, whose records are then part of what it rests on", async () => {
    await connection.submit(trialName, "put", ["asked", "1"]);
    const asking: Chaincode = async (stub) => {
      const answer = await stub.query(trialName, "get", ["asked"]);
      await stub.putState("answer", answer);
      return answer;
    };
    assert.equal((await run(asking)).result.toString(), "1");
    const both = [connection.submit(trialName, "put", ["asked", "2"]), connection.submit("other", "do", [])];
    const [first, second] = await Promise.allSettled(both);
    assert.equal(first?.status, "fulfilled");
    assert.equal(second?.status === "rejected" && second.reason.code, "CONFLICT");
  });

  it("has nothing written by the other one that it asks, and no circle of questions", async () => {
    const writing: Chaincode = (stub) => stub.query(trialName, "put", ["a", "1"]);
    await assert.rejects(run(writing), { code: "POLICY_DENIED" });
    const circling: Chaincode = (stub) => stub.query("other", "do", []);
    await assert.rejects(run(circling), { code: "POLICY_DENIED" });
    await assert.rejects(
      run((stub) => stub.query("absent", "do", [])),
      { code: "NOT_FOUND" },
    );
  });

  it("gets nothing out of its stub when the transaction is over", async () => {
    let kept: ChaincodeStub | undefined;
    await ok(async (stub) => {
      kept = stub;
    });
    await assert.rejects(async () => kept?.getState("a"), /over/);
    await assert.rejects(async () => kept?.putState("a", Buffer.of(1)), /over/);
    await assert.rejects(async () => kept?.definition("other"), /over/);
  });

  it("that throws something without a reason class fails without one", async () => {
    const failing = run(() => Promise.reject(new Error("out of luck")));
    await assert.rejects(failing, (error) => error instanceof EnclaveError && error.code === "LEDGER_UNAVAILABLE");
  });

  it("that is not installed is not answered for", async () => {
    await ledger.define("uninstalled", { version: "1", sequence: 1n, policy: policyOf(1, mspIds) });
    await assert.rejects(connection.submit("uninstalled", "do", []), { code: "LEDGER_UNAVAILABLE" });
  });

  it("sees one state from its beginning to its end, whatever is committed meanwhile", async () => {
    await connection.submit(trialName, "put", ["still", "1"]);
    let go = () => {};
    const waiting = new Promise<void>((resolve) => {
      go = resolve;
    });
    const slow: Chaincode = async (stub) => {
      if (stub.transaction !== "slow") return trial(stub);
      const seen = [await callTrial(stub, "get", ["still"])];
      await waiting;
      seen.push(await callTrial(stub, "get", ["still"]));
      return seen.join();
    };
    ledger.install(trialName, slow);
    const answer = connection.evaluate(trialName, "slow", []);
    await connection.submit(trialName, "put", ["still", "2"]);
    go();
    assert.equal((await answer).toString(), "1,1");
    ledger.install(trialName, trial);
  });
});
