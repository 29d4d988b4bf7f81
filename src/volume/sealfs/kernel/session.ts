import { FsError } from "../fs-error.ts";
import { initFlags, oldestProtocolMinor, protocolMajor, protocolMinor } from "./protocol.ts";
import type { Reply } from "./reply.ts";
import type { Request } from "./request.ts";

/** The largest READ and WRITE, the kernel's own limit by default (fs.fuse.max_pages_limit). */
export const largestTransferBytes: number = 1024 * 1024;
const pageBytes = 4096;
const maxBackground = 64;
const congestionThreshold = 48;

/** What kernel and server agreed on at INIT. */
export interface Session {
  readonly minor: number;
  readonly flags: number;
}

/**
 * Flags that are taken when the kernel offers them.
 *
 * - POSIX_LOCKS, FLOCK_LOCKS are left out: the kernel then locks by itself, which is right where it is the only one.
 * - POSIX_ACL is left out: there are none. AUTO_INVAL_DATA is left out and EXPLICIT_INVAL_DATA taken: nobody else changes files,
 *   so the page cache is always right.
 * - HANDLE_KILLPRIV_V2 spares a GETXATTR of `security.capability` for each write(2); the kernel then says with each request
 *   whether set-id bits go, which the request handler sees to.
 * - WRITEBACK_CACHE is left out: see docs/decisions/0411-writes-go-through.md.
 * - DONT_MASK is left out: modes arrive with the umask taken off.
 * - PARALLEL_DIROPS only lets the kernel queue more than one request for a folder.
 */
const wanted: number =
  initFlags.ASYNC_READ |
  initFlags.ATOMIC_O_TRUNC |
  initFlags.BIG_WRITES |
  initFlags.DO_READDIRPLUS |
  initFlags.READDIRPLUS_AUTO |
  initFlags.PARALLEL_DIROPS |
  initFlags.MAX_PAGES |
  initFlags.CACHE_SYMLINKS |
  initFlags.EXPLICIT_INVAL_DATA |
  initFlags.HANDLE_KILLPRIV_V2;

/**
 * Answers INIT (fuse_init_in, fuse_init_out).
 *
 * @returns The session, or undefined when the kernel speaks a newer major version and is to ask again.
 * @throws {FsError} EINVAL for a kernel older than 5.4, which closes the connection.
 */
export function negotiate(request: Request, reply: Reply): Session | undefined {
  const major = request.u32();
  const minor = request.u32();
  if (major > protocolMajor) {
    writeInit(reply, { minor: protocolMinor, flags: 0 }, 0);
    return undefined;
  }
  if (major < protocolMajor || minor < oldestProtocolMinor)
    throw new FsError("EINVAL", `the kernel speaks FUSE ${major}.${minor}; 7.${oldestProtocolMinor} is needed`);
  const readahead = request.u32();
  const offered = request.u32();
  const flags = offered & wanted;
  if ((flags & initFlags.MAX_PAGES) === 0 || (flags & initFlags.BIG_WRITES) === 0)
    throw new FsError("EINVAL", "the kernel does not offer MAX_PAGES and BIG_WRITES");
  const session = { minor: Math.min(minor, protocolMinor), flags };
  writeInit(reply, session, readahead);
  return session;
}

function writeInit(reply: Reply, session: Session, readahead: number): void {
  reply.u32(protocolMajor);
  reply.u32(session.minor);
  reply.u32(readahead);
  reply.u32(session.flags);
  reply.u16(maxBackground);
  reply.u16(congestionThreshold);
  reply.u32(largestTransferBytes);
  reply.u32(1);
  reply.u16(largestTransferBytes / pageBytes);
  reply.u16(0);
  reply.zeros(4 + 7 * 4);
}
