import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SmallDisk } from "../../faults/small-disk.ts";
import { LocalChain, until } from "../node/local-chain.ts";

const text = (value: string) => Buffer.from(value);

describe("a node whose disk is full", { skip: SmallDisk.unavailable(), timeout: 240_000 }, () => {
  it("stops before it signs what it could not write down, and comes back with space; the others go on", async () => {
    await using local = await LocalChain.build("-s");
    using disk = SmallDisk.mount(16);
    const node = local.node(3);
    local.configure(3, /data_path=data\n/, `data_path=${join(disk.path, "data")}\n`);
    for (const each of local.nodes) each.start();
    for (const index of [0, 1, 2, 3]) await local.connected(index, 3);
    using client = await local.client(0);
    await client.set(text("before"), text("full"));
    await until("node3 has the block", async () => (await local.height(3)) === 1);

    disk.fill();
    const large = Buffer.alloc(4000, 0x61);
    for (let count = 0; count < 5; count++) await client.set(text(`while full ${count}`), large);
    // Its votes cannot be written: it ends, or stays without voting, and has no block that its disk does not hold.
    await until("node3 says so", () => /cannot be written|ENOSPC|no space|takes no more/i.test(node.log + node.said));
    const code = await node.end("SIGTERM");
    assert.ok(code === 0 || code === 1, `${code}: ${node.said}`);

    disk.free();
    node.start();
    const height = await client.blockNumber();
    await until(`node3 has caught up: ${node.said}`, async () => ((await local.height(3)) ?? 0) >= height);
    using reader = await local.client(3);
    assert.ok((await reader.get(text("while full 4")))?.equals(large));
    assert.equal((await reader.get(text("before")))?.toString(), "full");
    await reader.set(text("after"), text("full"));
    for (const each of local.nodes) assert.doesNotMatch(each.log, /equivocation/);
  });
});
