import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { awaitedLine } from "../../../src/cli/fpc/status.ts";

const [id, other] = ["AB".repeat(32), "CD".repeat(32)];
const names = new Map([[id, "second"]]);

describe("a line of what is awaited", () => {
  it("is of whom, which command, and why; an enclave by its name where it is of the own host", () => {
    const step = { of: ["A", "B"], command: "keys import", enclave: undefined, why: "so" };
    assert.equal(awaitedLine(step, names), "awaited     A or B: keys import (so)");
    assert.equal(
      awaitedLine({ ...step, of: ["A"], enclave: id }, names),
      "awaited     A: keys import --enclave second by enclave ABABABABABABABAB (so)",
    );
    assert.equal(
      awaitedLine({ ...step, of: ["A"], enclave: other }, names),
      "awaited     A: keys import by enclave CDCDCDCDCDCDCDCD (so)",
    );
  });

  it("names nobody, and no command, where no step helps", () => {
    const lost = { of: [], command: undefined, enclave: undefined, why: "no enclave holds generation 1" };
    assert.equal(awaitedLine(lost, names), "lost        no enclave holds generation 1");
  });
});
