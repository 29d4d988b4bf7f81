import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { csvHeading, csvLine, recordLine, shown, shownJson } from "../../../src/cli/audit-lines.ts";
import type { AuditRecord } from "../../../src/client/protocol.ts";

const record: AuditRecord = {
  sequence: 1,
  eventId: "4d5c9c1c-2f1e-4f52-9a6b-0d6a5f2f0a11",
  at: "2026-11-21T12:00:00.000Z",
  door: "aws",
  principal: "arn:aws:iam::123456789012:node/node0",
  accessKeyId: null,
  peer: "10.0.0.7",
  userAgent: null,
  action: "kms:Decrypt",
  key: "k",
  context: { node: "node0" },
  result: "done",
  error: null,
  requestId: "r",
  detail: {},
};

/** Cells of one line of CSV (RFC 4180). */
function cells(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? "",
  );
}

const evil = [
  "\u001b[2J",
  "a\nb",
  "a\r\nb",
  "\u009b31m",
  "\u202etxt",
  "\u2028",
  "\u{e0041}",
  "\ud800",
  "\u0000",
  "\u200b",
];

describe("audit records on a terminal", () => {
  it("are one line each, which nothing in them can end or steer", () => {
    for (const text of evil) {
      const line = recordLine({ ...record, peer: text, context: { [text]: text }, detail: { x: text } });
      assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u, JSON.stringify(text));
    }
    assert.equal(shown("\u001b[2Jé漢"), "\\u001b[2Jé漢");
  });

  it("are the same values as JSON", () => {
    const value = { all: evil, "\u009b": { nested: evil } };
    assert.deepEqual(JSON.parse(shownJson(value, 2)), value);
    assert.deepEqual(JSON.parse(shownJson(value)), value);
    assert.doesNotMatch(shownJson(value), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
  });
});

describe("audit records as CSV", () => {
  it("have as many cells as the heading, whatever is in them", () => {
    const line = csvLine({ ...record, context: { a: '",",\n"' }, userAgent: 'x",y\r\n=1' });
    assert.equal(cells(line).length, csvHeading.split(",").length);
    assert.doesNotMatch(line, /[\r\n]/);
  });

  for (const formula of ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\u200b=1", "\uff1d1", "\r=1", "\n=1"])
    it(`give a spreadsheet no formula in ${JSON.stringify(formula)}`, () => {
      const cell = cells(csvLine({ ...record, userAgent: formula }))[csvHeading.split(",").indexOf("userAgent")];
      assert.equal(cell?.[0], "'");
    });
});
