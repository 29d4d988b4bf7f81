import type { FileSystem } from "../file-system.ts";
import { errno, FsError } from "../fs-error.ts";
import * as attributes from "./attribute-requests.ts";
import * as files from "./file-requests.ts";
import * as folders from "./folder-requests.ts";
import * as names from "./name-requests.ts";
import { inHeaderBytes, type OpcodeName, opcode, opcodeName } from "./protocol.ts";
import { type CacheTimes, Reply } from "./reply.ts";
import { Request } from "./request.ts";
import { largestTransferBytes, negotiate, type Session } from "./session.ts";

type Handler = (fileSystem: FileSystem, request: Request, reply: Reply) => void;

/** Requests that are answered by what the file system says. */
const handlers: Readonly<Partial<Record<OpcodeName, Handler>>> = {
  LOOKUP: names.lookup,
  SYMLINK: names.symlink,
  MKNOD: names.mknod,
  MKDIR: names.mkdir,
  UNLINK: names.unlink,
  RMDIR: names.rmdir,
  RENAME: names.rename,
  RENAME2: names.rename2,
  LINK: names.link,
  CREATE: names.create,
  READLINK(fileSystem, request, reply) {
    request.end();
    reply.bytes(fileSystem.readLink(request.node));
  },
  GETATTR: attributes.getattr,
  SETATTR: attributes.setattr,
  GETXATTR: attributes.getxattr,
  LISTXATTR: attributes.listxattr,
  SETXATTR: attributes.setxattr,
  REMOVEXATTR: attributes.removexattr,
  OPEN: files.open,
  READ: files.read,
  WRITE: files.write,
  FLUSH: files.flush,
  RELEASE: files.release,
  FSYNC: files.fsync,
  FALLOCATE: files.fallocate,
  LSEEK: files.lseek,
  OPENDIR: folders.opendir,
  READDIR: folders.readdir,
  READDIRPLUS: folders.readdirplus,
  RELEASEDIR: files.releasedir,
  FSYNCDIR: files.fsyncdir,
  STATFS(fileSystem, request, reply) {
    request.end();
    reply.fileSystemSpace(fileSystem.space(request.node));
  },
  SYNCFS(fileSystem, request) {
    request.skip(8);
    request.end();
    fileSystem.syncAll();
  },
};

const byNumber: ReadonlyMap<number, Handler> = new Map(
  Object.entries(opcode).flatMap(([name, number]) => {
    const handler = handlers[name as OpcodeName];
    return handler === undefined ? [] : [[number, handler] as const];
  }),
);

/** A request that failed in a way that no file system should. It was answered with EIO. */
export interface Fault {
  /** `LOOKUP`, … */
  readonly request: string;
  readonly node: number;
  readonly error: unknown;
}

export interface HandlerOptions {
  readonly fileSystem: FileSystem;
  readonly times: CacheTimes;
  readonly onFault: (fault: Fault) => void;
}

/**
 * Answers requests of the kernel. A malformed one gets EINVAL, an unknown one ENOSYS (from which the kernel learns not to ask
 * again); none ends the server. Needs no kernel, so that it can be tested with any bytes.
 */
export class RequestHandler {
  readonly #options: HandlerOptions;
  readonly #reply: Reply;
  #session: Session | undefined;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.#reply = new Reply(largestTransferBytes, options.times);
  }

  /** Where {@link answer} leaves what it says, from the first byte on. */
  get answerMemory(): Buffer {
    return this.#reply.memory;
  }

  /** Undefined before INIT. */
  get session(): Session | undefined {
    return this.#session;
  }

  /**
   * @param bytes - What one read of /dev/fuse gave.
   * @returns How many bytes of {@link answerMemory} to write back; 0 when there is no answer.
   */
  answer(bytes: Buffer): number {
    const reply = this.#reply;
    reply.start();
    if (bytes.length < inHeaderBytes) return 0;
    const unique = bytes.readBigUInt64LE(8);
    const code = bytes.readUInt32LE(4);
    if (code === opcode.FORGET || code === opcode.BATCH_FORGET) {
      this.#forget(bytes);
      return 0;
    }
    // A request is answered before the next is read: what INTERRUPT is about is over. NOTIFY_REPLY answers a question that is never asked.
    if (code === opcode.INTERRUPT || code === opcode.NOTIFY_REPLY) return 0;
    try {
      const request = new Request(bytes);
      request.checkFrame();
      return this.#dispatch(request);
    } catch (error) {
      if (error instanceof FsError) return reply.finish(unique, error.errno);
      this.#fault(code, bytes, error);
      return reply.finish(unique, errno.EIO);
    }
  }

  #dispatch(request: Request): number {
    const reply = this.#reply;
    if (request.opcode === opcode.INIT) {
      this.#init(request);
      return reply.finish(request.unique, 0);
    }
    if (this.#session === undefined) return reply.finish(request.unique, errno.EIO);
    if (request.opcode === opcode.DESTROY) return reply.finish(request.unique, 0);
    const handler = byNumber.get(request.opcode);
    if (handler === undefined) return reply.finish(request.unique, errno.ENOSYS);
    handler(this.#options.fileSystem, request, reply);
    return reply.finish(request.unique, reply.refusal);
  }

  #init(request: Request): void {
    if (this.#session !== undefined) throw new FsError("EINVAL", "a second INIT");
    this.#session = negotiate(request, this.#reply);
  }

  /** FORGET: fuse_forget_in. BATCH_FORGET: fuse_batch_forget_in, fuse_forget_one each. Has no answer, whatever happens. */
  #forget(bytes: Buffer): void {
    try {
      const request = new Request(bytes);
      request.checkFrame();
      const { fileSystem } = this.#options;
      if (request.opcode === opcode.FORGET) {
        const lookups = request.count();
        request.end();
        fileSystem.forget(request.node, lookups);
        return;
      }
      const count = request.u32();
      request.skip(4);
      if (request.left !== count * 16) return;
      for (let index = 0; index < count; index += 1) fileSystem.forget(request.nodeNumber(), request.count());
    } catch (error) {
      if (!(error instanceof FsError)) this.#fault(bytes.readUInt32LE(4), bytes, error);
    }
  }

  #fault(code: number, bytes: Buffer, error: unknown): void {
    const node = Number(bytes.readBigUInt64LE(16));
    this.#options.onFault({ request: opcodeName(code), node, error });
  }

  /** Wipes what the last answer held. */
  [Symbol.dispose](): void {
    this.#reply.wipe();
  }
}
