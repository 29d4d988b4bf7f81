import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { agentCalls, callAgent } from "../../../../src/enclave/ecc/hosting/agent-calls.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { EnclaveAgent } from "../../../../src/enclave/stub/agent.ts";

const made = Buffer.from("made");

/** An agent of the tests that notes what it is asked for. */
function noting() {
  const asked: unknown[][] = [];
  const answers: Readonly<Record<string, unknown>> = {
    credentials: made,
    discardNeverRegisteredKeys: Promise.resolve([1n, 3n]),
    compareWithLedger: Promise.resolve(),
    status: Promise.resolve({ tee: "process" }),
  };
  const agent = new Proxy({} as EnclaveAgent, {
    get:
      (_, name: string) =>
      (...args: unknown[]) => {
        asked.push([name, ...args.map((arg) => (Buffer.isBuffer(arg) ? arg.toString() : arg))]);
        return answers[name] ?? Promise.resolve(made);
      },
  });
  return { agent, asked };
}

const base64 = (text: string) => Buffer.from(text).toString("base64");
const parts = (answer: string) => (JSON.parse(answer) as string[]).map((one) => Buffer.from(one, "base64").toString());

async function refused(transaction: string, ...args: string[]) {
  const { agent, asked } = noting();
  await assert.rejects(
    callAgent(agent, transaction, args),
    (error) => error instanceof EnclaveError && error.code === "MALFORMED",
    `${transaction} ${args}`,
  );
  assert.deepEqual(asked, [], "nothing is asked of the enclave");
}

describe("a command to an enclave's agent through the peer", () => {
  it("becomes the agent's call of the same name, with its bytes and numbers", async () => {
    const { agent, asked } = noting();
    const answers = [
      await callAgent(agent, "__credentials", []),
      await callAgent(agent, "__attestAgain", []),
      await callAgent(agent, "__attestAgain", [base64("2")]),
      await callAgent(agent, "__generateCCKeys", []),
      await callAgent(agent, "__reEmitRegistration", [base64("7")]),
      await callAgent(agent, "__exportCCKeys", [base64("to"), base64("4294967295")]),
      await callAgent(agent, "__importCCKeys", [base64("export")]),
      await callAgent(agent, "__checkRecovery", [base64("12")]),
    ];
    for (const answer of answers) assert.deepEqual(parts(answer), ["made"]);
    assert.deepEqual(asked, [
      ["credentials"],
      ["attestAgain", undefined],
      ["attestAgain", 2n],
      ["generateCCKeys"],
      ["reEmitRegistration", 7n],
      ["exportCCKeys", "to", 4_294_967_295n],
      ["importCCKeys", "export"],
      ["checkRecovery", 12n],
    ]);
    assert.deepEqual(parts(await callAgent(agent, "__discardNeverRegisteredKeys", [])), ["1", "3"]);
    assert.deepEqual(parts(await callAgent(agent, "__compareWithLedger", [])), []);
    assert.deepEqual(parts(await callAgent(agent, "__status", [])), ['{"tee":"process"}']);
  });

  it("is MALFORMED with too few arguments or too many, and is not passed on", async () => {
    for (const [name, { parts: wanted, optional }] of Object.entries(agentCalls)) {
      await refused(name, ...Array(wanted.length + 1).fill("QUJD"));
      const fewest = wanted.length - (optional ? 1 : 0);
      if (fewest > 0) await refused(name, ...Array(fewest - 1).fill("QUJD"));
    }
  });

  it("is MALFORMED with text that is not canonical base64, or a number that is none", async () => {
    for (const text of ["", "QUI", "QU JD", "QUJD\n", "_-__", "QUJ="]) await refused("__importCCKeys", text);
    for (const number of ["0", "-1", "01", "1.5", "1e3", " 1", "12345678901"])
      for (const name of ["__reEmitRegistration", "__checkRecovery"]) await refused(name, base64(number));
    await refused("__release", base64("id"), base64("hash"), base64("1"), base64("0"));
  });

  it("is MALFORMED under any other name, such as those that every object has", async () => {
    for (const name of ["", "__pid", "status", "__proto__", "constructor", "toString", "__invoke"]) await refused(name);
  });

  it("may come from every client where it releases an answer, and from admins alone otherwise", () => {
    const open = Object.entries(agentCalls).filter(([, { isForClients }]) => isForClients);
    assert.deepEqual(
      open.map(([name]) => name),
      ["__release"],
    );
  });
});
