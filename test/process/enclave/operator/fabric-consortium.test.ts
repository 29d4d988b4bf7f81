import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe } from "node:test";
import { FabricConsortium } from "../../../fabric/fabric-consortium.ts";
import { runKeyFlow } from "./consortium-flow.ts";

describe("a consortium of three organisations and five enclaves on a channel of Fabric", () => {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-fabric-"));
  runKeyFlow(() => FabricConsortium.start(folder));
  after(() => rmSync(folder, { recursive: true, force: true }));
});
