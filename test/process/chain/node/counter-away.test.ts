import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { KeyManagerProcess } from "../../node/key-manager-process.ts";
import { countedChain, guardOf } from "./counted-chain.ts";
import { until } from "./local-chain.ts";

const text = (value: string) => Buffer.from(value);

/** A way to the key manager that can be cut. */
class Way implements AsyncDisposable {
  readonly #server = createServer((inward) => this.#carry(inward));
  readonly #sockets = new Set<Socket>();
  readonly #to: URL;
  #isCut = false;

  private constructor(to: URL) {
    this.#to = to;
  }

  static async to(url: string): Promise<Way> {
    const way = new Way(new URL(url));
    way.#server.listen(0, "127.0.0.1");
    await once(way.#server, "listening");
    return way;
  }

  get url(): string {
    const address = this.#server.address();
    assert.ok(typeof address === "object" && address !== null);
    return `https://127.0.0.1:${address.port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  #carry(inward: Socket): void {
    if (this.#isCut) {
      inward.destroy();
      return;
    }
    const outward = connect(Number(this.#to.port), this.#to.hostname);
    inward.pipe(outward).pipe(inward);
    for (const socket of [inward, outward]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        inward.destroy();
        outward.destroy();
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}

describe("one of four nodes that is cut off from the key manager", { timeout: 200_000 }, () => {
  it("follows the others' blocks, writes no vote meanwhile, ends at once when told, and votes again later", async () => {
    await using keyManager = await KeyManagerProcess.started();
    await using way = await Way.to(keyManager.url);
    await using local = await countedChain(keyManager, (index) => (index === 3 ? way.url : keyManager.url));
    using client = await local.client(0);
    const node = local.node(3);
    await client.set(text("a"), text("1"));
    way.cut();
    for (let number = 0; !node.log.includes("[GUARD]votes wait"); number++)
      await client.set(text("a"), text(`${number}`));
    await client.set(text("b"), text("0"));
    const written = guardOf(node);
    for (let number = 0; number < 8; number++) await client.set(text("b"), text(`${number}`));
    const height = await client.blockNumber();
    await until("node3 has the blocks", async () => ((await local.height(3)) ?? 0) >= height);
    assert.ok(guardOf(node).equals(written));
    way.mend();
    await until("node3 votes", async () => {
      await client.set(text("c"), text("1"));
      return guardOf(node).length > written.length && node.log.includes("[GUARD]the key manager confirms votes again");
    });
    way.cut();
    const before = node.log.split("votes wait").length;
    await client.set(text("d"), text("1"));
    assert.equal(await node.end("SIGTERM"), 0);
    assert.equal(node.log.split("votes wait").length, before, "within a minute it is not said again");
    for (const each of local.nodes) assert.ok(!/equivocation|halted/.test(each.log));
  });
});
