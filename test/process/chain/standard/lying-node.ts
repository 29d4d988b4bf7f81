import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Stands between a client and a node's RPC, and alters what the node answers. Disposing of it closes it. */
export class LyingNode implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #lies: { alter: (answer: string) => string };

  private constructor(server: Server, lies: { alter: (answer: string) => string }) {
    this.#server = server;
    this.#lies = lies;
    this.port = (server.address() as AddressInfo).port;
  }

  static async before(rpcPort: number): Promise<LyingNode> {
    const lies = { alter: (answer: string) => answer };
    const server = createServer((asked, answered) => {
      const forwarded = request(
        { host: "127.0.0.1", port: rpcPort, method: "POST", headers: { "content-type": "application/json" } },
        async (answer) => {
          const chunks: Buffer[] = [];
          for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
          answered.setHeader("content-type", "application/json");
          answered.end(lies.alter(Buffer.concat(chunks).toString("utf8")));
        },
      );
      forwarded.on("error", () => answered.destroy());
      asked.pipe(forwarded);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new LyingNode(server, lies);
  }

  lie(alter: (answer: string) => string): void {
    this.#lies.alter = alter;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
