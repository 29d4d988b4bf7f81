import { closeSync, constants, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { VolumeError } from "../../errors.ts";
import { placePaths } from "../../place.ts";
import type { VolumePlace } from "../../volume.ts";
import { KeyTableError, type KeyTableErrorCode, keyTableErrors } from "../keys/errors.ts";
import type { SealfsControl } from "./control.ts";
import { type ControlMethod, encodeControlRequest, readWireKey, toWireKey } from "./messages.ts";

const longestAnswerBytes = 256 * 1024 * 1024;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Connects to the server of a volume that is open, whichever process opened it. One request is under way at a time, the others
 * wait their turn.
 *
 * @throws {VolumeError} `VOLUME_NOT_OPEN` when nobody serves it, `VOLUME_SYSTEM` when this user may not ask.
 */
export async function connectSealfsControl(place: VolumePlace): Promise<SealfsControl> {
  const { controlSocket } = placePaths(place);
  return controlOver(new Connection(await connectTo(controlSocket), controlSocket));
}

function controlOver(connection: Connection): SealfsControl {
  const ask = <T>(method: ControlMethod, parameters: object = {}) => connection.ask(method, parameters) as Promise<T>;
  const keysOf = async (answer: Promise<readonly unknown[]>) => (await answer).map((one) => readWireKey(one));
  return {
    keys: () => ask("keys"),
    rules: () => ask("rules"),
    setRules: (rules) => ask("setRules", { rules: rules.map(({ pattern, becomes }) => ({ pattern, becomes })) }),
    rotate: (zone) => ask("rotate", { zone }),
    resealing: () => ask("resealing"),
    setResealingRate: (bytesPerSecond) => ask("setResealingRate", { bytesPerSecond }),
    destroyGeneration: (zone, generation) => ask("destroyGeneration", { zone, generation }),
    destroyZone: (zone) => ask("destroyZone", { zone }),
    sweep: () => ask("sweep"),
    sync: () => ask("sync"),
    findings: () => ask("findings"),
    beginRekey: (publicKey) => ask("beginRekey", { publicKey: publicKey.toString("base64") }),
    waitingKeys: (most) => keysOf(ask("waitingKeys", { most })),
    stageKeys: (made) => ask("stageKeys", { made: made.map(toWireKey) }),
    stagedKeys: () => keysOf(ask("stagedKeys")),
    finishRekey: ({ keepPrevious = false }) => ask("finishRekey", { keepPrevious }),
    dropPrevious: () => ask("dropPrevious"),
    async [Symbol.asyncDispose]() {
      connection.end();
    },
  };
}

/** Lines out, lines in, in the same order. */
class Connection {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #waiting: Waiting[] = [];
  #pieces: Buffer[] = [];
  #bytes = 0;
  #ended: Error | undefined;

  constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
    socket.on("data", (piece: Buffer) => this.#take(piece));
    socket.on("error", () => {});
    socket.on("close", () => this.#end(notOpen(path)));
    // Who only keeps the connection can end.
    socket.unref();
  }

  ask(method: ControlMethod, parameters: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#waiting.push({ resolve, reject });
      this.#socket.ref();
      this.#socket.write(`${encodeControlRequest(method, parameters)}\n`);
    });
  }

  end(): void {
    this.#socket.destroy();
    this.#end(notOpen(this.#path));
  }

  #take(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (!piece.includes(10)) {
      if (this.#bytes > longestAnswerBytes) this.#socket.destroy();
      return;
    }
    let rest = Buffer.concat(this.#pieces);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      this.#answered(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
    this.#pieces = [rest];
    this.#bytes = rest.length;
  }

  #answered(line: Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return void this.#socket.destroy();
    if (this.#waiting.length === 0) this.#socket.unref();
    try {
      const answer: unknown = JSON.parse(line.toString());
      if (typeof answer !== "object" || answer === null) throw new SyntaxError("no answer");
      if ("error" in answer) waiting.reject(errorOf(answer.error));
      else waiting.resolve("value" in answer ? answer.value : undefined);
    } catch (error) {
      waiting.reject(
        new VolumeError("VOLUME_SYSTEM", `the server of ${this.#path} gave no answer that can be read`, error),
      );
      this.#socket.destroy();
    }
  }

  #end(why: Error): void {
    this.#ended ??= why;
    for (const { reject } of this.#waiting.splice(0)) reject(why);
  }
}

/** Through its folder's descriptor: the path of a socket has at most 107 bytes (unix(7)), a folder's may have more. */
function connectTo(path: string): Promise<Socket> {
  let folder: number;
  try {
    folder = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    return Promise.reject(new VolumeError("VOLUME_NOT_OPEN", `there is no volume at ${dirname(path)}`, error));
  }
  return new Promise((resolve, reject) => {
    const socket = connect({ path: `/proc/self/fd/${folder}/${basename(path)}` });
    const settle = (act: () => void) => {
      socket.removeAllListeners();
      closeSync(folder);
      act();
    };
    socket.once("connect", () => settle(() => resolve(socket)));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      settle(() =>
        reject(
          error.code === "ENOENT" || error.code === "ECONNREFUSED"
            ? notOpen(path, error)
            : new VolumeError("VOLUME_SYSTEM", `${path} cannot be asked: ${error.code ?? error.message}`, error),
        ),
      ),
    );
  });
}

function notOpen(path: string, cause?: unknown): VolumeError {
  return new VolumeError("VOLUME_NOT_OPEN", `nobody serves the volume at ${dirname(path)}; open it first`, cause);
}

function errorOf(refusal: unknown): Error {
  const { code, message } = (refusal ?? {}) as { readonly code?: unknown; readonly message?: unknown };
  const text = typeof message === "string" ? message : "the server of the volume refused";
  if (typeof code === "string" && Object.hasOwn(keyTableErrors, code))
    return new KeyTableError(code as KeyTableErrorCode, text);
  return code === "REQUEST_INVALID"
    ? new VolumeError("VOLUME_PARAMETER_INVALID", text)
    : new VolumeError("VOLUME_SYSTEM", text);
}
