import { closeSync, constants, existsSync, openSync, rmSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { DatabaseError, type DatabaseErrorCode, databaseErrors } from "../errors.ts";

/** What a running instance answers on this machine, by name. What a handler throws, the asker gets. */
export type AdminHandlers = ReadonlyMap<string, (parameters: unknown) => Promise<unknown>>;

const maxRequestBytes = 256 * 1024;
const maxAnswerBytes = 64 * 1024 * 1024;
const requestMs = 10_000;
const answerMs = 10 * 60_000;

/**
 * Answers commands on a UNIX socket that its owner and root alone can connect to: one request in a line of JSON for each
 * connection, `{"ask": name, "parameters": …}`, one answer, `{"value": …}` or `{"error": {"code", "message", "hint"}}`.
 */
export class AdminSocket {
  readonly #server: Server;
  readonly #file: string;

  private constructor(server: Server, file: string) {
    this.#server = server;
    this.#file = file;
  }

  /** Takes the place of a socket that was left behind: who calls this holds the instance's lock. */
  static async open(file: string, handlers: AdminHandlers): Promise<AdminSocket> {
    rmSync(file, { force: true });
    const server = createServer({ allowHalfOpen: true }, (socket) => void answer(socket, handlers));
    await withShortPath(file, async (path) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      server.once("error", reject);
      // The folder is its owner's alone while the mode is not yet set.
      server.listen(path, resolve);
      await promise;
      server.off("error", reject);
      await chmod(path, 0o600);
    });
    return new AdminSocket(server, file);
  }

  async close(): Promise<void> {
    await new Promise<void>((closed) => this.#server.close(() => closed()));
    rmSync(this.#file, { force: true });
  }
}

/**
 * Asks the running instance whose socket this is.
 *
 * @returns Undefined when nobody serves it.
 * @throws {DatabaseError} What the handler threw; another Error when there is no answer.
 */
export async function askInstance(
  file: string,
  ask: string,
  parameters: unknown = null,
): Promise<{ readonly value: unknown } | undefined> {
  // As where nobody serves one; what else is wrong with the folder, its reader tells.
  if (!existsSync(dirname(file))) return undefined;
  const answered = await withShortPath(file, (path) => exchange(path, `${JSON.stringify({ ask, parameters })}\n`));
  if (answered === undefined) return undefined;
  const answer: { value?: unknown; error?: { code?: unknown; message?: unknown; hint?: unknown } } =
    JSON.parse(answered);
  if (answer.error === undefined) return { value: answer.value };
  const { code, message, hint } = answer.error;
  if (!isDatabaseErrorCode(code)) throw new Error(String(message));
  throw new DatabaseError(code, String(message), typeof hint === "string" ? { hint } : {});
}

async function answer(socket: Socket, handlers: AdminHandlers): Promise<void> {
  socket.on("error", () => {});
  try {
    socket.setTimeout(requestMs, () => socket.destroy());
    const line = await readLine(socket, maxRequestBytes);
    if (line === undefined) return;
    socket.setTimeout(0);
    socket.end(`${JSON.stringify(await answerTo(line, handlers))}\n`);
  } catch {
    socket.destroy();
  }
}

async function answerTo(line: string, handlers: AdminHandlers): Promise<object> {
  try {
    const request: unknown = JSON.parse(line);
    if (typeof request !== "object" || request === null) throw new SyntaxError("the request is no object");
    const { ask, parameters } = request as Readonly<Record<string, unknown>>;
    const handler = typeof ask === "string" ? handlers.get(ask) : undefined;
    if (handler === undefined) throw new SyntaxError("the running instance does not know this request");
    return { value: (await handler(parameters)) ?? null };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const hint = error instanceof DatabaseError ? error.hint : undefined;
    return { error: { code, message: error instanceof Error ? error.message : "it failed", hint } };
  }
}

async function exchange(path: string, request: string): Promise<string | undefined> {
  const socket = createConnection({ path, allowHalfOpen: true });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    socket.once("connect", () => resolve(true));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "ENOENT" || error.code === "ECONNREFUSED" ? resolve(false) : reject(error),
    );
    if (!(await promise)) return undefined;
    socket.setTimeout(answerMs, () => socket.destroy(new Error("the running instance does not answer")));
    socket.write(request);
    const line = await readLine(socket, maxAnswerBytes);
    if (line === undefined) throw new Error("the running instance ended before it answered");
    return line;
  } finally {
    socket.destroy();
  }
}

/** @returns Undefined when it ends before a line does. */
async function readLine(socket: Socket, mostBytes: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    const end = (chunk as Buffer).indexOf(0x0a);
    chunks.push(end === -1 ? chunk : chunk.subarray(0, end));
    length += chunk.length;
    if (end !== -1) return Buffer.concat(chunks).toString("utf8");
    if (length > mostBytes) throw new Error("a line is too long");
  }
  return undefined;
}

/** A socket's path has room for 107 bytes (unix(7)), a folder's may have more: its descriptor stands for it. */
async function withShortPath<T>(file: string, use: (path: string) => Promise<T>): Promise<T> {
  const folder = openSync(dirname(file), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await use(`/proc/self/fd/${folder}/${basename(file)}`);
  } finally {
    closeSync(folder);
  }
}

function isDatabaseErrorCode(code: unknown): code is DatabaseErrorCode {
  return typeof code === "string" && Object.hasOwn(databaseErrors, code);
}
