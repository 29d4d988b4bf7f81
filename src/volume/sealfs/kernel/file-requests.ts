import type { FileSystem } from "../file-system.ts";
import { FsError } from "../fs-error.ts";
import { killSetIds } from "./attribute-requests.ts";
import { fsyncDataOnly, openKeepsCache, openKillsSuidgid, openNeedsNoFlush, writeKillsSuidgid } from "./protocol.ts";
import type { Reply } from "./reply.ts";
import type { Request } from "./request.ts";
import { largestTransferBytes } from "./session.ts";

/** lseek(2). */
const seekData = 3;
const seekHole = 4;

/** open(2): O_ACCMODE and O_TRUNC, of which neither is set by who only reads. */
const changes = 3 | 0o1000;

/** OPEN: fuse_open_in. Answered by fuse_open_out; cached pages stay, since nobody else writes. Who only reads leaves nothing to commit. */
export function open(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const flags = request.u32();
  const openFlags = request.u32();
  request.end();
  const handle = fileSystem.open(request.node, flags);
  if ((openFlags & openKillsSuidgid) !== 0) killSetIds(fileSystem, request, handle);
  reply.opened(handle, (flags & changes) === 0 ? openKeepsCache | openNeedsNoFlush : openKeepsCache);
}

/** READ: fuse_read_in. */
export function read(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const handle = request.handle();
  const offset = request.offset();
  const size = request.u32();
  request.skip(20);
  request.end();
  if (size > largestTransferBytes) throw new FsError("EINVAL", `a READ of ${size} bytes`);
  reply.keep(fileSystem.read(handle, offset, reply.space(size)));
}

/** WRITE: fuse_write_in, then the bytes. Answered by fuse_write_out. */
export function write(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const handle = request.handle();
  const offset = request.offset();
  const size = request.u32();
  const flags = request.u32();
  request.skip(16);
  const bytes = request.bytes(size);
  request.end();
  if (offset + size > Number.MAX_SAFE_INTEGER) throw new FsError("EFBIG", "a place beyond 2^53 - 1");
  if ((flags & writeKillsSuidgid) !== 0) killSetIds(fileSystem, request, handle);
  fileSystem.write(handle, offset, bytes);
  reply.u32(size);
  reply.u32(0);
}

/** FLUSH: fuse_flush_in. */
export function flush(fileSystem: FileSystem, request: Request): void {
  const handle = request.handle();
  request.skip(16);
  request.end();
  fileSystem.flush(handle);
}

/** RELEASE: fuse_release_in. */
export function release(fileSystem: FileSystem, request: Request): void {
  fileSystem.release(releasedHandle(request));
}

/** RELEASEDIR: fuse_release_in. */
export function releasedir(fileSystem: FileSystem, request: Request): void {
  fileSystem.releaseDirectory(releasedHandle(request));
}

function releasedHandle(request: Request): number {
  const handle = request.handle();
  request.skip(16);
  request.end();
  return handle;
}

/** FSYNC: fuse_fsync_in. */
export function fsync(fileSystem: FileSystem, request: Request): void {
  const { handle, dataOnly } = syncOf(request);
  fileSystem.sync(handle, dataOnly);
}

/** FSYNCDIR: fuse_fsync_in. */
export function fsyncdir(fileSystem: FileSystem, request: Request): void {
  fileSystem.syncDirectory(syncOf(request).handle);
}

function syncOf(request: Request): { handle: number; dataOnly: boolean } {
  const handle = request.handle();
  const flags = request.u32();
  request.skip(4);
  request.end();
  return { handle, dataOnly: (flags & fsyncDataOnly) !== 0 };
}

/** FALLOCATE: fuse_fallocate_in. It has no flag for set-id bits, which go as at a write unless root asks. */
export function fallocate(fileSystem: FileSystem, request: Request): void {
  const handle = request.handle();
  const offset = request.offset();
  const length = request.offset();
  const mode = request.u32();
  request.skip(4);
  request.end();
  if (length === 0) throw new FsError("EINVAL", "fallocate of no bytes");
  if (offset + length > Number.MAX_SAFE_INTEGER) throw new FsError("EFBIG", "a place beyond 2^53 - 1");
  if (request.caller.uid !== 0) killSetIds(fileSystem, request, handle);
  fileSystem.allocate(handle, mode, offset, length);
}

/** LSEEK: fuse_lseek_in; only SEEK_DATA and SEEK_HOLE arrive here. Answered by fuse_lseek_out. */
export function lseek(fileSystem: FileSystem, request: Request, reply: Reply): void {
  const handle = request.handle();
  const offset = seekOffset(request);
  const whence = request.u32();
  request.skip(4);
  request.end();
  if (whence !== seekData && whence !== seekHole) throw new FsError("EINVAL", `lseek from ${whence}`);
  reply.u64(fileSystem.seek(handle, offset, whence));
}

/** No file has data or a hole so far out. @throws {FsError} ENXIO beyond 2^53 - 1. */
function seekOffset(request: Request): number {
  try {
    return request.offset();
  } catch (error) {
    if (error instanceof FsError && error.code === "EFBIG") throw new FsError("ENXIO", "a place beyond 2^53 - 1");
    throw error;
  }
}
