import { createServer } from "node:net";

/** A port of loopback that nobody listens on now. */
export async function freeLoopbackPort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  await new Promise<void>((closed) => server.close(() => closed()));
  if (typeof address === "object" && address !== null) return address.port;
  throw new Error("a listening server has no address");
}
