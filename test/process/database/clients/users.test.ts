import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { skip } from "../instance/served-instance.ts";
import { userRequests } from "./requests/users.ts";
import { SideBySide } from "./side-by-side.ts";

describe("users of a served instance and of plain influxd", { skip }, () => {
  let both: SideBySide;
  before(async () => {
    both = await SideBySide.start({ auth: true });
  });
  after(() => both.stop());

  it("may do the same, and are refused with the same words", async () => {
    const found: string[] = [];
    for (const request of userRequests) {
      const difference = await both.difference(request);
      if (difference !== undefined) found.push(difference);
    }
    assert.deepEqual(found, [], found.join("\n"));
  });
});
