import { createServer, type Server } from "node:net";

/** Below those that the system gives out to whoever asks for any port (ip_local_port_range: 32768 and above). */
const [lowest, end] = [10_000, 32_000];
/** Listen on what marks a port as taken, until this process ends. */
const marks: Server[] = [];

/** A port of loopback, as {@link reservePorts}. */
export async function reservePort(): Promise<number> {
  const [port = 0] = await reservePorts(1);
  return port;
}

/**
 * So many ports of loopback in a row, on which nobody listens. No other test file that runs at the same time is given one of
 * them until this process ends: whoever listens there may come later, go away and come back.
 */
export async function reservePorts(count: number): Promise<readonly number[]> {
  for (;;) {
    const first = lowest + Math.floor(Math.random() * (end - lowest - count));
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const taken = await marksOf(ports);
    if (taken !== undefined && (await areFree(ports))) {
      marks.push(...taken);
      return ports;
    }
    for (const mark of taken ?? []) mark.close();
  }
}

/** A name in the abstract namespace of sockets (unix(7)) for each port; undefined where another process has one of them. */
async function marksOf(ports: readonly number[]): Promise<readonly Server[] | undefined> {
  const taken: Server[] = [];
  for (const port of ports) {
    const mark = await listening({ path: `\0strongroom-test-port-${port}` });
    if (mark === undefined) {
      for (const each of taken) each.close();
      return undefined;
    }
    taken.push(mark);
  }
  return taken;
}

async function areFree(ports: readonly number[]): Promise<boolean> {
  for (const port of ports) {
    const server = await listening({ host: "127.0.0.1", port });
    if (server === undefined) return false;
    await new Promise((resolve) => server.close(resolve));
  }
  return true;
}

/** A server that keeps no process alive; undefined when the address is in use. */
function listening(address: { path: string } | { host: string; port: number }): Promise<Server | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen(address, () => resolve(server.unref()));
  });
}
