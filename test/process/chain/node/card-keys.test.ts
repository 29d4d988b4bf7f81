import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { makeTestCard, sdfCardMissing } from "../../../sdf-card/build.ts";
import { chainOfCard } from "./card-chain.ts";
import { type LocalNode, until } from "./local-chain.ts";

const pin = "canary-PIN-51908";

function filesOf(node: LocalNode): string[] {
  return readdirSync(node.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe("four nodes whose keys are in a cipher machine", { skip: sdfCardMissing(), timeout: 240_000 }, () => {
  it("agree, stop signing when it is unplugged, and go on when it is back", async () => {
    const folder = mkdtempSync(join(tmpdir(), "strongroom-card-chain-"));
    using card = makeTestCard(pin);
    try {
      await using local = await chainOfCard(card, pin, folder);
      for (const node of local.nodes) node.start();
      for (const index of [0, 1, 2, 3]) await local.connected(index, 3);
      using client = await local.client(0);
      await client.set(Buffer.from("signed by"), Buffer.from("the card"));

      card.setFaults("unplugged=1");
      const before = await client.blockNumber();
      const waiting = client.set(Buffer.from("while"), Buffer.from("unplugged"));
      waiting.catch(() => {});
      await until("a node says that the card does not sign", () => local.node(0).log.includes("[SIGN]"));
      await pause(3000);
      assert.ok((await client.blockNumber()) <= before + 1);
      const stopped = await client.blockNumber();
      await pause(3000);
      assert.equal(await client.blockNumber(), stopped);

      card.setFaults();
      using again = await local.client(1);
      await until("the chain goes on", () =>
        again.set(Buffer.from("back"), Buffer.from("again")).then(
          () => true,
          () => false,
        ),
      );
      for (const node of local.nodes) {
        assert.ok(!node.log.includes("equivocation"));
        assert.ok(!(node.log + node.said).includes(pin));
        for (const file of filesOf(node).filter((path) => !path.endsWith("conf/hsm_password")))
          if (existsSync(file)) assert.ok(!readFileSync(file).includes(pin), file);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
