import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { skip } from "../instance/served-instance.ts";
import { databaseRequests } from "./requests/databases.ts";
import { pathRequests } from "./requests/paths.ts";
import { queryRequests } from "./requests/queries.ts";
import type { Request } from "./requests/request.ts";
import { schemaRequests } from "./requests/schema.ts";
import { writeRequests } from "./requests/writes.ts";
import { SideBySide } from "./side-by-side.ts";

describe("one sequence of requests to a served instance and to plain influxd", { skip }, () => {
  let both: SideBySide;
  before(async () => {
    both = await SideBySide.start();
  });
  after(() => both.stop());

  /** In order: each request finds what those before it have left. */
  async function alike(requests: readonly Request[]): Promise<void> {
    const found: string[] = [];
    for (const request of requests) {
      const difference = await both.difference(request);
      if (difference !== undefined) found.push(difference);
    }
    assert.deepEqual(found, [], found.join("\n"));
  }

  it("makes and shows databases, with the column that encryption adds", () => alike(databaseRequests));
  it("writes to an encrypted database and to a plain one", () => alike(writeRequests));
  it("reads in every form of answer", () => alike(queryRequests));
  it("goes by every method and path, with the query in every place", () => alike(pathRequests));
  it("describes and changes schema, policies and continuous queries", () => alike(schemaRequests));
  it("is longer than two hundred requests", () => assert.ok(both.asked >= 200, String(both.asked)));
});
