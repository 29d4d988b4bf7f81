import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { reportError } from "../../../src/cli/failure.ts";
import { printData, table, tell } from "../../../src/cli/output.ts";

/** What a function writes to one of the process's streams. */
function written(stream: "stdout" | "stderr", write: () => void): string {
  const original = process[stream].write;
  let text = "";
  process[stream].write = (piece) => {
    text += String(piece);
    return true;
  };
  try {
    write();
  } finally {
    process[stream].write = original;
  }
  return text;
}

const evil = ["\u001b[2J", "a\rb", "\u009b31m", "\u202etxt", "\u2028", "\u200b", "\u0000"];
const steering = /[^\n\P{C}]|\u2028/u;

describe("what commands print", () => {
  for (const text of evil) {
    const name = JSON.stringify(text);
    it(`does not let ${name} reach a terminal as data`, () => {
      const asText = written("stdout", () => printData({}, text, (value) => `${value}\nnext`));
      assert.doesNotMatch(asText, steering);
      assert.equal(asText.split("\n").length, 3);
      const asJson = written("stdout", () => printData({ json: true }, { text }, () => ""));
      assert.doesNotMatch(asJson, steering);
      assert.deepEqual(JSON.parse(asJson), { text });
    });

    it(`does not let ${name} reach a terminal as a message`, () => {
      assert.doesNotMatch(
        written("stderr", () => tell(text)),
        steering,
      );
      assert.doesNotMatch(
        written("stderr", () => reportError(Object.assign(new Error(text), { hint: text }))),
        steering,
      );
    });
  }

  it("has one line for each row of a table, whatever is in a cell", () => {
    const lines = table(["A", "B"], [["one\ntwo", "x"]]).split("\n");
    assert.deepEqual(lines, ["A             B", "one\\u000atwo  x"]);
  });

  it("leaves letters of every script as they are", () => {
    assert.equal(table(["A"], [["密钥 ключ é"]]), "A\n密钥 ключ é");
    assert.equal(
      written("stderr", () => tell("密钥\nключ")),
      "strongroom: 密钥\nключ\n",
    );
  });
});
