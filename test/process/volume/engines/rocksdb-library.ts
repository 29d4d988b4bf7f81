import { existsSync } from "node:fs";
import koffi from "koffi";

/** RocksDB's own shared library, which Debian's rocksdb-tools bring, by its C interface. */
export const rocksdbLibrary: string | undefined = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
  .map((machine) => `/usr/lib/${machine}/librocksdb.so.7.8`)
  .find((path) => existsSync(path));

export interface RocksDatabase {
  /** Returns once the row is in the log, and the log is synced. @throws {Error} As RocksDB says. */
  put(key: Buffer, value: Buffer): void;
  /** All rows in the order of their keys, each checksum verified. */
  rows(): (readonly [Buffer, Buffer])[];
  close(): void;
}

/** Small memory tables, so that a test of seconds flushes and compacts. */
export function openRocks(folder: string): RocksDatabase {
  const library = koffi.load(rocksdbLibrary ?? "librocksdb.so");
  const func = (result: string, name: string, ...parameters: string[]) =>
    library.func(`rocksdb_${name}`, result, parameters);
  const failing = ["_Out_ char**"] as const;
  const told = (call: (error: [string | null]) => unknown): unknown => {
    const error: [string | null] = [null];
    const result = call(error);
    if (error[0] !== null) throw new Error(error[0]);
    return result;
  };
  const options: unknown = func("void*", "options_create")();
  func("void", "options_set_create_if_missing", "void*", "uint8")(options, 1);
  func("void", "options_set_paranoid_checks", "void*", "uint8")(options, 1);
  func("void", "options_set_write_buffer_size", "void*", "size_t")(options, 64 * 1024);
  func("void", "options_set_level0_file_num_compaction_trigger", "void*", "int")(options, 2);
  const openDatabase = func("void*", "open", "void*", "const char*", ...failing);
  const database = told((error) => openDatabase(options, folder, error));
  const synced: unknown = func("void*", "writeoptions_create")();
  func("void", "writeoptions_set_sync", "void*", "uint8")(synced, 1);
  const put = func("void", "put", "void*", "void*", "const void*", "size_t", "const void*", "size_t", ...failing);
  return {
    put(key, value) {
      told((error) => put(database, synced, key, key.length, value, value.length, error));
    },
    rows() {
      const verified: unknown = func("void*", "readoptions_create")();
      func("void", "readoptions_set_verify_checksums", "void*", "uint8")(verified, 1);
      const at: unknown = func("void*", "create_iterator", "void*", "void*")(database, verified);
      const valid = func("uint8", "iter_valid", "void*");
      const next = func("void", "iter_next", "void*");
      const part = (which: string) => {
        const get = func("void*", `iter_${which}`, "void*", "_Out_ size_t*");
        return () => {
          const length: [number] = [0];
          const bytes: unknown = get(at, length);
          return Buffer.from(koffi.decode(bytes, "uint8", length[0]) as Uint8Array);
        };
      };
      const [key, value] = [part("key"), part("value")];
      const rows: (readonly [Buffer, Buffer])[] = [];
      for (func("void", "iter_seek_to_first", "void*")(at); valid(at) !== 0; next(at)) rows.push([key(), value()]);
      told((error) => func("void", "iter_get_error", "void*", ...failing)(at, error));
      func("void", "iter_destroy", "void*")(at);
      return rows;
    },
    close() {
      func("void", "close", "void*")(database);
    },
  };
}
