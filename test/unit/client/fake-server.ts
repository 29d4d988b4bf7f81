import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fake key manager on a Unix socket: it only plays back what a test tells it to, and counts what it was asked. */
export interface FakeServer extends AsyncDisposable {
  readonly socketPath: string;
  readonly seen: string[];
}

export type FakeAnswer = (request: IncomingMessage, response: ServerResponse) => void;

export async function fakeServer(answer: FakeAnswer): Promise<FakeServer> {
  const folder = mkdtempSync(join(tmpdir(), "strongroom-fake-"));
  const socketPath = join(folder, "s");
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.resume();
    request.on("end", () => answer(request, response));
  });
  await new Promise<void>((resolve) => server.listen({ path: socketPath }, resolve));
  return {
    socketPath,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true });
    },
  };
}

export const answerJson =
  (status: number, value: unknown): FakeAnswer =>
  (_request, response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };

export const answerFailure = (status: number, code: string): FakeAnswer =>
  answerJson(status, { error: { code, message: `fake ${code}` }, requestId: "r-1" });

/** Takes the request, then drops the connection without an answer. */
export const dropConnection: FakeAnswer = (request) => {
  request.socket.destroy();
};

/** Never answers. */
export const staySilent: FakeAnswer = () => {};
